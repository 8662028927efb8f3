"""Evaluation: COCO's metrics and their intervals, PCK, calibration."""
