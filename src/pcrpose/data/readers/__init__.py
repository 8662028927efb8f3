"""Annotation readers: one file per format."""
