"""Reading what the policy wrote: the list, a group side by side, tokens, one prompt through time, two texts compared.

The drawings are pure functions to cells and the thread in `finder` is the only part that touches a disk.
"""
