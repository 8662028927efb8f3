"""The parts of a running training: batches, steps, processes, locks, logs and errors."""
