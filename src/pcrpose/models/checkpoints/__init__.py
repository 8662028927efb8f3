"""Names of tensors in published checkpoints and ours; one file per family of names."""
