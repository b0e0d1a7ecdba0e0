"""The MLflow store: runs, their artifacts, and what they come from."""
