"""Serve a model over HTTP: `python -m pipeline.serve --help`."""

import os
from pathlib import Path

import click

from pipeline import cli
from pipeline.cli import UserError

TOKEN = "SERVE_TOKEN"
EXAMPLES = """\b
Examples:
  python -m pipeline.serve                      the champion, and whichever version becomes it
  python -m pipeline.serve --version 3          version 3 alone
  python -m pipeline.serve --folder models      the workspace's model, without MLflow
  curl 127.0.0.1:8000/predict -H 'Content-Type: application/json' -d '{"texts": ["how do i sort a dict"]}'

With the environment variable SERVE_TOKEN, requests need the header `Authorization: Bearer TOKEN`."""


@click.command(epilog=EXAMPLES, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--version", default="champion", show_default=True, help="Number or alias of a registered version.")
@click.option("--folder", type=click.Path(path_type=Path), help="Serve the model in this folder instead.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8000, show_default=True, type=click.IntRange(0, 65535), help="0: a free one.")
@click.option(
    "--refresh",
    default=10.0,
    show_default=True,
    type=click.FloatRange(0.1),
    help="Seconds between looks for a new one.",
)
def serve(version: str, folder: Path | None, host: str, port: int, refresh: float) -> None:
    """Serve the champion over HTTP, with a page at / and the routes at /docs.

    A version that becomes the champion is taken up without a restart. While MLflow is away, or if the new version does
    not load, the old one goes on.
    """
    # Not at the top: `--help` and mistakes need none of it.
    from pipeline.serving import models, server
    from pipeline.serving.app import Limits, create_app

    if folder and not folder.is_dir():
        raise UserError(f"there is no folder {folder}; `dvc repro` makes models/, `registry export` a model's files")
    holder = models.from_folder(folder) if folder else models.from_registry(version)
    holder.refresh()
    if not holder.model:
        raise UserError(f"no model can be served: {holder.error}")
    app = create_app(holder, os.environ.get(TOKEN) or None, Limits(), refresh)
    if not server.run(app, host, port):
        raise UserError(f"cannot listen on {host}:{port}; choose another --port")


if __name__ == "__main__":
    cli.run(serve)
