"""Metrics of a classifier's predictions."""

DECIMALS = 6  # of the values that are written: more would differ between machines and mean nothing
MODELS = ("classifier", "network", "baseline")  # whose predictions are evaluated; `network` only in an ensemble
