"""Training: the loop that yields a log entry a step, its schedule, and its state for checkpoints."""
