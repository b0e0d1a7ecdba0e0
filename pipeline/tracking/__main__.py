"""Where results come from: from a run to its code and data, and back."""

import sys

import click

from pipeline import cli, params
from pipeline.cli import UserError
from pipeline.tracking import RUN_HELP

EXAMPLES = """
\b
Examples:
  python -m pipeline.tracking show                          the workspace's result
  python -m pipeline.tracking show units-96                 a DVC experiment's
  python -m pipeline.tracking show text-classification@champion
  python -m pipeline.tracking compare units-96 HEAD
  python -m pipeline.tracking ui
"""


@click.group(help=__doc__, epilog=EXAMPLES)
def main() -> None:
    pass


# MLflow takes two seconds to import: the commands import what needs it, so that help and usage errors come at once.


@main.command(epilog=RUN_HELP)
@click.argument("run", required=False)
def show(run: str | None) -> None:
    """Show what a run was made from.

    Without RUN, that of the workspace's result.
    """
    from pipeline.tracking import find, store
    from pipeline.tracking.show import print_run

    client, experiment = store.connect(params.load().track)
    print_run(client, find.find_run(client, experiment, run))


@main.command(epilog=RUN_HELP)
@click.argument("a")
@click.argument("b", required=False)
def compare(a: str, b: str | None) -> None:
    """Compare two runs.

    What differs in parameters, data and code, and whether one is better. Without B, with the workspace's result.
    """
    from pipeline.tracking import find, store
    from pipeline.tracking.compare import compare_runs, print_comparison

    client, experiment = store.connect(params.load().track)
    print_comparison(compare_runs(client, *(find.find_run(client, experiment, name) for name in (a, b))))


@main.command()
def rebuild() -> None:
    """Create missing runs from DVC's cache.

    For each commit and DVC experiment that has a result. Exit code 1 if one of them cannot be restored.
    """
    from pipeline.tracking import store
    from pipeline.tracking.rebuild import rebuild_runs

    if not rebuild_runs(*store.connect(params.load().track)):
        sys.exit(1)


@main.command()
@click.option("--port", type=click.IntRange(1, 65535), help="Default: 5000, or the next port that is free.")
def ui(port: int | None) -> None:
    """Serve the MLflow UI until Ctrl-C.

    On 127.0.0.1 alone. If MLFLOW_TRACKING_URI names a server, only its address is printed.
    """
    from pipeline.tracking import store
    from pipeline.tracking.ui import serve_ui

    _, experiment = store.connect(params.load().track)
    serve_ui(experiment, port)


@main.command()
def relocate() -> None:
    """Relocate mlflow.db after a move.

    MLflow keeps the absolute paths of artifacts. In a repository that was moved or copied, this replaces them by the
    new ones, in mlflow.db alone, after a copy of it.
    """
    from pipeline.tracking import location, sqlite_store

    path = location.sqlite_path(location.tracking_uri())
    if not path or path.resolve().parent != cli.repository_root().resolve():
        raise UserError("the store is not a SQLite file in this repository, and does not move with it")
    sqlite_store.relocate(path)


if __name__ == "__main__":
    cli.run(main)
