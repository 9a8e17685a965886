"""Inside the training process: what is recorded, what is measured, and how commands are obeyed."""
