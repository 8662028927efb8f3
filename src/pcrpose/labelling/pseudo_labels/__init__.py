"""Pseudo-labels: predict, keep, select."""
