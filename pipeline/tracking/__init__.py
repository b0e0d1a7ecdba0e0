"""MLflow tracking: the store, the run of each result, its artifacts, and what it was made from."""

import os

# MLflow reads these when it is imported; the processes that are started from here inherit them.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("DO_NOT_TRACK", "true")

# In the help of commands that take a run.
RUN_HELP = "A run is named by its id or name, a model version (name/3 or name@champion), a commit, or a DVC experiment."
