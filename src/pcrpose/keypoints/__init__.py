"""Geometry, codecs, similarity and drawing of keypoints: pure functions that open no files."""
