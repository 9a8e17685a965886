"""A run on disk: the one interface between the training process and everybody who looks at it.

Nothing here imports torch or textual, so that a login node without either can follow and steer a run.
"""
