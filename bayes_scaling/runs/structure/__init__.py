"""What the rows of a table are: one run each, a sweep, checkpoints, several groups; read off a quick surface."""
