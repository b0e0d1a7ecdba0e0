"""Versions of the model: made from runs, promoted with evidence, taken back, made again, handed on.

python -m pipeline.registry register [RUN]
python -m pipeline.registry list
python -m pipeline.registry compare V1 V2
python -m pipeline.registry promote [VERSION]
python -m pipeline.registry rollback
python -m pipeline.registry history
python -m pipeline.registry reproduce [VERSION]
python -m pipeline.registry export VERSION DIR
"""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from pipeline import cli, params
from pipeline.cli import UserError
from pipeline.params.registry import Registry
from pipeline.registry import history, versions
from pipeline.tracking import find, runs, store
from pipeline.tracking.errors import StoreError

VERSION = "its number or alias, as `list` shows them"


def main() -> None:
    asked = arguments()
    everything = params.load()
    try:
        client, experiment = store.connect(everything.track.experiment)
        if not run(asked, client, experiment, everything.registry):
            sys.exit(1)
    except StoreError as error:
        raise UserError(
            f"MLflow could not be asked or told ({error}); see to the store (MLFLOW_TRACKING_URI, or mlflow.db)"
        ) from None


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m pipeline.registry", description="Versions of the model.")
    commands = parser.add_subparsers(dest="command", required=True)

    def add(name: str, help: str, json: bool = False, alias: bool = False) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=help)
        if json:
            command.add_argument("--json", action="store_true", help="for programs")
        if alias:
            command.add_argument("--alias", default=versions.CHAMPION, help="the alias to move (champion)")
        return command

    add("register", "make a version of a run").add_argument("run", nargs="?", help=find.HELP)
    add("list", "the versions, with aliases and figures", json=True)
    command = add("compare", "what differs between two versions, and whether one is better", json=True)
    command.add_argument("a", metavar="V1", help=VERSION)
    command.add_argument("b", metavar="V2", help=VERSION)
    command = add("promote", "make a version the champion, if it passes the gate", alias=True)
    command.add_argument("version", nargs="?", help=f"{VERSION}; none: that of the workspace's result")
    command.add_argument("--allow-sample", action="store_true", help="also one that was trained on the sample")
    command.add_argument("--force", action="store_true", help="also one that the gate refuses; needs --reason")
    command.add_argument("--reason", help="why, for the history")
    command = add("rollback", "put the previous champion back", alias=True)
    command.add_argument("--reason", help="why, for the history")
    add("history", "every move of every alias", json=True)
    command = add("reproduce", "make a version's model again, and compare")
    command.add_argument("version", nargs="?", default=versions.CHAMPION, help=f"{VERSION}; none: the champion")
    command = add("export", "write what another team needs of a version into a folder")
    command.add_argument("version", help=VERSION)
    command.add_argument("folder", type=Path, metavar="DIR")
    asked = parser.parse_args()
    reason = getattr(asked, "reason", None)
    if getattr(asked, "force", False) and not (reason and reason.strip()):
        parser.error('--force needs --reason "…"')
    return asked


def run(asked: argparse.Namespace, client: MlflowClient, experiment: str, section: Registry) -> bool:
    """Gives whether what was asked for is so. Raises Stop for bad input, and StoreError."""
    # What takes a second or more to import comes in where it is used.
    model = section.model
    if "alias" in asked:
        versions.require_alias(asked.alias)
    if asked.command == "register":
        version, is_new = versions.register(client, model, find.find_run(client, experiment, asked.run))
        print(f"{model}: version {version.version}{'' if is_new else ', registered before'}")
    elif asked.command == "list":
        table = versions.versions_table(client, model)
        print(json.dumps(table, indent=2)) if asked.json else versions.print_versions(model, table)
    elif asked.command == "compare":
        a, b = (
            versions.run_of_version(client, versions.find_version(client, model, which)) for which in (asked.a, asked.b)
        )
        from pipeline.tracking import compare

        compared = compare.compare_runs(client, a, b)
        print(json.dumps(compared, indent=2)) if asked.json else compare.print_comparison(compared)
    elif asked.command == "promote":
        from pipeline.registry import promotion

        version = (
            versions.find_version(client, model, asked.version)
            if asked.version
            else workspaces(client, experiment, model)
        )
        return promotion.promote(client, section, version, asked.alias, asked.allow_sample, asked.force, asked.reason)
    elif asked.command == "rollback":
        from pipeline.registry import promotion

        return promotion.rollback(client, section, asked.alias, asked.reason)
    elif asked.command == "history":
        made = history.alias_changes(client, model)
        if asked.json:
            print(json.dumps([asdict(move) for move in made], indent=2))
        else:
            history.print_history(client, model, made)
    elif asked.command == "reproduce":
        from pipeline.registry import reproduce

        return reproduce.reproduce_version(client, section, versions.find_version(client, model, asked.version))
    else:
        from pipeline.registry import export

        export.export_version(client, versions.find_version(client, model, asked.version), asked.folder)
    return True


def workspaces(client: MlflowClient, experiment: str, model: str) -> ModelVersion:
    """The version of the workspace's result. Raises Stop where it has none, and StoreError."""
    found = find.find_run(client, experiment, None)
    there = versions.versions_of_result(client, model, found.data.tags.get(runs.RESULT_HASH, ""))
    if not there:
        raise UserError(
            "the workspace's result has no version yet; `python -m pipeline.registry register` makes it one"
        )
    return there[0]


if __name__ == "__main__":
    cli.run(main, code=2)
