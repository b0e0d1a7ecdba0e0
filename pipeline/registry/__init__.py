"""The model registry: versions, the gate, promotion and rollback, the history, reproduction and export."""

from pipeline import tracking  # noqa: F401  # turns MLflow's telemetry off before MLflow is imported
