"""The model registry: versions, the gate to promotion, the history of aliases."""

from pipeline import tracking  # noqa: F401  turns MLflow's telemetry off before MLflow is imported
