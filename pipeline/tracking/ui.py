"""MLflow's page, of the repository's store or of the server that holds the runs."""

import os
import sys

from pipeline import cli
from pipeline.tracking import store

# Of this version's page the other workflow, for language-model applications, is what it opens by itself.
VIEW = "#/experiments/{experiment}/runs?viewStateShareKey=results&workflowType=machine_learning"


def open_ui(experiment: str, port: int) -> None:
    """Say where the runs are to be seen; serve the page there until Ctrl-C, unless a server does."""
    address = store.tracking_uri()
    served = address.startswith("http")
    place = address.rstrip("/") if served else f"http://127.0.0.1:{port}"
    print(f"The runs: {place}/{VIEW.format(experiment=experiment)}", flush=True)
    if served:
        return
    os.environ["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"  # jobs of its own, which nothing here asks for
    ui = ["ui", "--host", "127.0.0.1", "--port", str(port), "--workers", "1", "--backend-store-uri", address]
    artifacts = cli.repository_root().resolve() / store.ARTIFACTS
    os.execv(sys.executable, [sys.executable, "-m", "mlflow", *ui, "--default-artifact-root", str(artifacts)])
