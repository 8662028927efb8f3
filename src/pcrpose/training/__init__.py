"""Training: the loop, its checkpoints and the strategies of the paper."""
