"""Files: atomic writes, JSON, digests, locks."""
