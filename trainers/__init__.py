"""Ready-made training programs, their tasks, and the tiny base model with the program that made it."""
