"""The MLflow UI, of the repository's store or of the server that has the runs."""

import os
import socket
import sys

from pipeline import cli
from pipeline.cli import UserError
from pipeline.tracking.location import ARTIFACTS, tracking_uri

FIRST_PORT, N_PORTS = 5000, 100
# Without the workflow type, MLflow opens its pages for language-model applications.
VIEW = "#/experiments/{experiment}/runs?viewStateShareKey=results&workflowType=machine_learning"


def serve_ui(experiment: str, port: int | None) -> None:
    """Print the address of the runs, and serve the UI there until Ctrl-C, unless a server does.

    Raises UserError if the port is not free.
    """
    uri = tracking_uri()
    is_served = uri.startswith("http")
    port = None if is_served else choose_port(port)
    address = uri.rstrip("/") if is_served else f"http://127.0.0.1:{port}"
    print(f"The runs: {address}/{VIEW.format(experiment=experiment)}", flush=True)
    if is_served:
        return
    os.environ["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"  # background jobs that nothing here needs
    arguments = ["ui", "--host", "127.0.0.1", "--port", str(port), "--workers", "1", "--backend-store-uri", uri]
    artifacts = cli.repository_root().resolve() / ARTIFACTS
    os.execv(sys.executable, [sys.executable, "-m", "mlflow", *arguments, "--default-artifact-root", str(artifacts)])


def choose_port(port: int | None) -> int:
    """The port, or the first free one from 5000 on. Raises UserError if there is none."""
    if port:
        if not is_free(port):
            raise UserError(f"port {port} is in use; leave --port out to take a free one")
        return port
    for candidate in range(FIRST_PORT, FIRST_PORT + N_PORTS):
        if is_free(candidate):
            return candidate
    raise UserError(f"no port from {FIRST_PORT} to {FIRST_PORT + N_PORTS - 1} is free; name one with --port")


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As the server does: a port whose last connections are still closing is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    # Another program may listen on all addresses, as macOS' AirPlay does on port 5000.
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) != 0
