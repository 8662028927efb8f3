"""Making labels: hard negatives and pseudo-labels."""
