"""Versions of the registered model, each made from the run of a result, with its model card and provenance."""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import LoggedModel, Run
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from pipeline.cli import UserError
from pipeline.tracking import artifacts, provenance, runs, store
from pipeline.tracking.errors import get_or_none, store_errors

CHAMPION = "champion"
REPRODUCTION = "reproduction"  # tag: the outcome of `reproduce`
NUMBER = re.compile(r"[0-9]{1,9}")
ALIAS = re.compile(r"(?!(?i:latest|v[0-9]+|[0-9]+)$)[A-Za-z0-9_-]{1,200}")
METRICS = ["test/accuracy", "test/macro_f1", "test/log_loss", "baseline/test_macro_f1", "test/examples"]
DESCRIPTION = "Versions are registered, promoted and rolled back by `python -m pipeline.registry`."


def register(client: MlflowClient, model: str, run: Run) -> tuple[ModelVersion, bool]:
    """The version of the run's result, and whether it is new. Raises UserError and StoreError."""
    name, result_hash = run.info.run_name, run.data.tags.get(runs.RESULT_HASH)
    if run.data.tags.get(runs.STATE) != "complete" or not result_hash:
        raise UserError(f"{name} is not a complete run of an evaluated result; `dvc repro` makes one")
    logged_model = require_logged_model(client, run)
    from pipeline.report import card  # not at the top: no other command needs it

    with store.lock("registry"):
        if existing := usable_versions(client, model, result_hash):
            return existing[0], False
        tags = version_tags(client, run)
        split, metrics = (artifacts.read_json(client, run, file) for file in ("split.json", "metrics.json"))
        if not (split and metrics):
            raise UserError(f"{name} has lost its reports; delete the run, and `dvc repro` logs it again")

        def render(version: str | None) -> str:
            return card.render_card(model, run.data.params, tags, split, metrics, version)

        with store_errors("write to"):
            create_registered_model(client, model)
            version = client.create_model_version(
                model, logged_model.model_uri, run.info.run_id, tags, description=render(None),
                await_creation_for=0, model_id=logged_model.model_id,
            )  # fmt: skip
            # A process on another machine may have created one at the same moment: the first one stays.
            first = usable_versions(client, model, result_hash)[0]
            if first.version != version.version:
                client.delete_model_version(model, version.version)
                return first, False
            # Only now is the number known that the card's command needs.
            client.update_model_version(model, version.version, render(str(version.version)))
    return find_version(client, model, str(version.version)), True


def require_logged_model(client: MlflowClient, run: Run) -> LoggedModel:
    """The logged model of the run. Raises UserError if its files are gone, and StoreError."""
    with store_errors():
        logged_models = runs.logged_models(client, run)
        if logged_models and client.list_logged_model_artifacts(logged_models[0].model_id):
            return logged_models[0]
    raise UserError(f"the model files of {run.info.run_name} are gone; delete the run, and `dvc repro` logs it again")


def create_registered_model(client: MlflowClient, model: str) -> None:
    try:
        client.create_registered_model(model, description=DESCRIPTION)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def version_tags(client: MlflowClient, run: Run) -> dict[str, str]:
    """Provenance and metrics of a version, as its tags."""
    tags = {name: run.data.tags[name] for name in (runs.RESULT_HASH, runs.INPUTS_HASH, "corpus")}
    tags |= commit_tags(run.data.tags)
    tags |= {f"data.{name}": md5 for name, md5 in artifacts.dataset_digests(run).items()}
    return tags | {name: f"{run.data.metrics[name]:g}" for name in METRICS if name in run.data.metrics}


def commit_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """The commit, and whether the code differed from it; empty if git knew of none."""
    if provenance.COMMIT not in tags:
        return {}
    return {"git.commit": tags[provenance.COMMIT], provenance.DIRTY: tags.get(provenance.DIRTY, "false")}


def versions_of_result(client: MlflowClient, model: str, result_hash: str) -> list[ModelVersion]:
    """The versions of a result, oldest first. Raises StoreError."""
    return [version for version in all_versions(client, model) if version.tags.get(runs.RESULT_HASH) == result_hash]


def usable_versions(client: MlflowClient, model: str, result_hash: str) -> list[ModelVersion]:
    """The versions of a result whose run still exists, oldest first: a version without its run cannot be promoted."""
    return [
        version for version in versions_of_result(client, model, result_hash) if find_run_of_version(client, version)
    ]


def all_versions(client: MlflowClient, model: str) -> list[ModelVersion]:
    """Oldest first. Raises StoreError."""
    with store_errors():
        found = client.search_model_versions(f"name = '{model}'")
    return sorted(found, key=lambda version: int(version.version))


def require_alias(name: str) -> None:
    """Raises UserError for a name that MLflow does not accept as an alias."""
    if not ALIAS.fullmatch(name):
        raise UserError(f"{name!r} is not an alias: use letters, digits, _ and -, but not `latest` or `v1`")


def find_version(client: MlflowClient, model: str, name: str) -> ModelVersion:
    """A version by its number or alias. Raises UserError if there is none, and StoreError."""
    name = name.removeprefix("@")
    is_number = bool(NUMBER.fullmatch(name))
    if not is_number:
        require_alias(name)
    get_version = client.get_model_version if is_number else client.get_model_version_by_alias
    if version := get_or_none(lambda: get_version(model, name)):
        return version
    numbers = ", ".join(str(version.version) for version in all_versions(client, model)) or "none"
    missing = f"version {name}" if is_number else f"version with the alias {name}"
    raise UserError(f"{model} has no {missing}; its versions are: {numbers}")


def find_run_of_version(client: MlflowClient, version: ModelVersion) -> Run | None:
    """The run of a version; None if it is deleted. Raises StoreError."""
    run = get_or_none(lambda: client.get_run(version.run_id or ""))
    return run if run and run.info.lifecycle_stage != "deleted" else None


def run_of_version(client: MlflowClient, version: ModelVersion) -> Run:
    """Raises UserError if it is deleted, and StoreError."""
    if run := find_run_of_version(client, version):
        return run
    raise UserError(
        f"the run of version {version.version} is deleted; restore it in MLflow, or `dvc repro` its result and "
        "`register` it again"
    )


def read_aliases(client: MlflowClient, model: str) -> dict[str, str]:
    """The number of the version that has each alias. Raises StoreError."""
    registered = get_or_none(lambda: client.get_registered_model(model))
    return {alias: str(number) for alias, number in registered.aliases.items()} if registered else {}


def versions_table(client: MlflowClient, model: str) -> list[dict[str, Any]]:
    """A row per version. Raises StoreError."""
    aliases = read_aliases(client, model)
    return [
        {
            "version": str(version.version),
            "aliases": sorted(alias for alias, number in aliases.items() if number == str(version.version)),
            "run": version.run_id,
            "result_hash": version.tags.get(runs.RESULT_HASH),
            "corpus": version.tags.get("corpus"),
            "commit": version.tags.get("git.commit"),
            "dirty": version.tags.get(provenance.DIRTY) == "true",
            "metrics": {name: float(version.tags[name]) for name in METRICS if name in version.tags},
            "reproduction": json.loads(version.tags[REPRODUCTION]) if REPRODUCTION in version.tags else None,
            "registered": datetime.fromtimestamp(version.creation_timestamp / 1000, UTC).isoformat(timespec="seconds"),
        }
        for version in all_versions(client, model)
    ]


def print_versions(model: str, table: list[dict[str, Any]]) -> None:
    if not table:
        print(f"{model} has no version yet; `python -m pipeline.registry register` registers the workspace's result")
        return
    head = f"{'version':9}{'aliases':18}{'macro F1':>9}{'accuracy':>10}{'baseline F1':>13}"
    print(f"{head}  {'corpus':22}{'commit':12}reproduced")
    for row in table:
        metrics = (row["metrics"].get(name) for name in ("test/macro_f1", "test/accuracy", "baseline/test_macro_f1"))
        cells = ["-" if value is None else f"{value:.4f}" for value in metrics]
        commit = (row["commit"] or "none")[:8] + ("+" if row["dirty"] else "")
        reproduced = row["reproduction"]["verdict"] if row["reproduction"] else ""
        print(
            f"{row['version']:9}{', '.join(row['aliases']):18}{cells[0]:>9}{cells[1]:>10}{cells[2]:>13}  "
            f"{(row['corpus'] or '-')[:21]:22}{commit:12}{reproduced}".rstrip()
        )
