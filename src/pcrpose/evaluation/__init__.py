"""Evaluation: COCO's metrics and their intervals, PCK, error types, calibration, reports."""
