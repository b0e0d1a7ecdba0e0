"""Metrics of a classifier's predictions."""
