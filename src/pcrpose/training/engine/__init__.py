"""What a running training is made of: batches, processes, locks, logs, and what may go wrong."""
