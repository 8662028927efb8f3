"""Annotation files of further data sets, and what reading any of them takes."""
