"""From a run to its code and data, and back.

python -m pipeline.tracking show [RUN | MODEL VERSION | COMMIT | EXPERIMENT]
python -m pipeline.tracking compare A B
python -m pipeline.tracking rebuild
python -m pipeline.tracking ui
"""

import argparse
import sys

from pipeline import cli, params
from pipeline.cli import UserError
from pipeline.tracking import artifacts, find, rebuild, store, ui
from pipeline.tracking.store import StoreError


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m pipeline.tracking", description="Where results come from.")
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("show", help="where a run comes from, or which run a commit or an experiment has")
    command.add_argument("name", nargs="?", help=find.HELP)
    command = commands.add_parser("compare", help="what differs between two runs, and whether one is better")
    command.add_argument("a", help=find.HELP)
    command.add_argument("b", nargs="?", help="likewise")
    commands.add_parser("rebuild", help="make the runs that MLflow lacks, from git and DVC's cache")
    command = commands.add_parser("ui", help="look at the runs in MLflow")
    command.add_argument("--port", type=int, default=5000)
    asked = parser.parse_args()
    try:
        client, experiment = store.connect(params.load().track.experiment)
        if asked.command == "show":
            artifacts.print_run(client, find.find_run(client, experiment, asked.name))
        elif asked.command == "compare":
            from pipeline.tracking import compare  # imports SciPy, which takes a second

            a, b = (find.find_run(client, experiment, name) for name in (asked.a, asked.b))
            compare.print_comparison(compare.compare_runs(client, a, b))
        elif asked.command == "ui":
            ui.open_ui(experiment, asked.port)
        elif not rebuild.rebuild_runs(client, experiment):
            sys.exit(1)
    except StoreError as error:
        raise UserError(
            f"MLflow could not be asked ({error}); see to the store (MLFLOW_TRACKING_URI, or mlflow.db)"
        ) from None


if __name__ == "__main__":
    cli.run(main)
