"""The model registry.

python -m pipeline.registry register [RUN]
python -m pipeline.registry list
python -m pipeline.registry compare V1 V2
python -m pipeline.registry promote [VERSION]
python -m pipeline.registry rollback
python -m pipeline.registry history
python -m pipeline.registry reproduce [VERSION]
python -m pipeline.registry export VERSION FOLDER
"""

import json
import sys
from dataclasses import asdict
from pathlib import Path

import click
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from pipeline import cli, params
from pipeline.cli import UserError
from pipeline.params.registry import Registry
from pipeline.registry import versions
from pipeline.tracking import RUN_HELP, find, runs, store

# What takes a second or more to import is imported by the command that needs it.

EXAMPLES = """\b
Examples:
  python -m pipeline.registry register            register the workspace's result
  python -m pipeline.registry promote 3           promote version 3, if it passes the gate
  python -m pipeline.registry rollback --reason "too slow"
  python -m pipeline.registry export champion handed-on

VERSION is the number or an alias of a version, as `list` shows them."""
alias_option = click.option("--alias", default=versions.CHAMPION, show_default=True, help="The alias to change.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group(help="Register, promote, roll back, reproduce and export versions of the model.", epilog=EXAMPLES)
def main() -> None:
    pass


def connect() -> tuple[MlflowClient, str, Registry]:
    """The client, the id of the experiment, and the registry's parameters. Raises StoreError."""
    config = params.load()
    client, experiment = store.connect(config.track)
    return client, experiment, config.registry


@main.command(help=f"Register a version of RUN, by default of the workspace's result. {RUN_HELP}")
@click.argument("run", required=False)
def register(run: str | None) -> None:
    client, experiment, config = connect()
    version, is_new = versions.register(client, config.model, find.find_run(client, experiment, run))
    print(f"{config.model}: version {version.version}{'' if is_new else ', registered before'}")


@main.command("list", help="List the versions with their aliases and metrics.")
@json_option
def list_versions(as_json: bool) -> None:
    client, _, config = connect()
    table = versions.versions_table(client, config.model)
    print(json.dumps(table, indent=2)) if as_json else versions.print_versions(config.model, table)


@main.command(help="Compare the parameters, data, code and metrics of two versions.")
@click.argument("v1")
@click.argument("v2")
@json_option
def compare(v1: str, v2: str, as_json: bool) -> None:
    from pipeline.tracking.compare import compare_runs, print_comparison

    client, _, config = connect()
    a, b = (versions.run_of_version(client, versions.find_version(client, config.model, name)) for name in (v1, v2))
    comparison = compare_runs(client, a, b)
    print(json.dumps(comparison, indent=2)) if as_json else print_comparison(comparison)


@main.command(help="Promote VERSION (by default that of the workspace's result), if it passes the gate.")
@click.argument("version", required=False)
@alias_option
@click.option("--allow-sample", is_flag=True, help="Allow a model that was trained on the sample corpus.")
@click.option("--force", is_flag=True, help="Promote although the gate fails; needs --reason.")
@click.option("--reason", help="The reason, for the history.")
def promote(version: str | None, alias: str, allow_sample: bool, force: bool, reason: str | None) -> None:
    from pipeline.registry import promotion

    if force and not (reason and reason.strip()):
        raise click.UsageError("--force needs --reason")
    versions.require_alias(alias)
    client, experiment, config = connect()
    challenger = (
        versions.find_version(client, config.model, version)
        if version
        else version_of_workspace(client, experiment, config.model)
    )
    if not promotion.promote(client, config, challenger, alias, allow_sample, force, reason):
        sys.exit(1)


@main.command(help="Set the alias to the version that had it before.")
@alias_option
@click.option("--reason", help="The reason, for the history.")
def rollback(alias: str, reason: str | None) -> None:
    from pipeline.registry import promotion

    versions.require_alias(alias)
    client, _, config = connect()
    if not promotion.rollback(client, config, alias, reason):
        sys.exit(1)


@main.command(help="Show every change of every alias.")
@json_option
def history(as_json: bool) -> None:
    from pipeline.registry import history

    client, _, config = connect()
    changes = history.alias_changes(client, config.model)
    if as_json:
        print(json.dumps([asdict(change) for change in changes], indent=2))
    else:
        history.print_history(client, config.model, changes)


@main.command(help="Train VERSION again from its commit, parameters and data, and compare the result.")
@click.argument("version", default=versions.CHAMPION)
def reproduce(version: str) -> None:
    from pipeline.registry import reproduce

    client, _, config = connect()
    found = versions.find_version(client, config.model, version)
    if not reproduce.reproduce_version(client, config, found):
        sys.exit(1)


@main.command(help="Write the model, card, reports and an example of VERSION to FOLDER.")
@click.argument("version")
@click.argument("folder", type=click.Path(path_type=Path))
def export(version: str, folder: Path) -> None:
    from pipeline.registry import export

    client, _, config = connect()
    export.export_version(client, versions.find_version(client, config.model, version), folder)


def version_of_workspace(client: MlflowClient, experiment: str, model: str) -> ModelVersion:
    """The version of the workspace's result. Raises UserError if it has none, and StoreError."""
    run = find.find_run(client, experiment, None)
    found = versions.usable_versions(client, model, run.data.tags.get(runs.RESULT_HASH, ""))
    if not found:
        raise UserError("the workspace's result is not registered; run `python -m pipeline.registry register`")
    return found[0]


if __name__ == "__main__":
    cli.run(main, exit_code=2)
