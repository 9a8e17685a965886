"""Measurements: each takes what it looks at and gives plain numbers; none of them knows the trainer."""
