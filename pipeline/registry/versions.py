"""Versions of the registered model, each made from the run of a result, with the model card and where it comes from."""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from pipeline.cli import UserError
from pipeline.tracking import provenance, runs, store
from pipeline.tracking.artifacts import dataset_digests, read_json
from pipeline.tracking.errors import get_or_none, store_errors

CHAMPION = "champion"
VERDICT = "reproduction"  # what `reproduce` found
NUMBER = re.compile(r"[0-9]{1,9}")
ALIAS = re.compile(r"(?!(?i:latest|v[0-9]+|[0-9]+)$)[A-Za-z0-9_-]{1,200}")
FIGURES = ["test_accuracy", "test_macro_f1", "test_log_loss", "baseline_test_macro_f1", "test_posts"]
ABOUT = "Versions are made, promoted and taken back by `python -m pipeline.registry`."


def register(client: MlflowClient, model: str, run: Run) -> tuple[ModelVersion, bool]:
    """The version of the run's result, and whether it was made just now. Raises Stop and StoreError."""
    name, digest = run.info.run_name, run.data.tags.get(runs.RESULT_HASH)
    if run.data.tags.get(runs.STATE) != "complete" or not digest:
        raise UserError(f"{name} is no finished run of a result that was evaluated; `dvc repro` makes one")
    with store_errors():
        logged = runs.logged_models(client, run)
        if not logged or not client.list_logged_model_artifacts(logged[0].model_id):
            raise UserError(
                f"the files of the model of {name} are gone; delete the run, and `dvc repro` there logs it anew"
            )
    from pipeline.report import card  # here, as it takes a second that no other command need wait

    with store.lock("registry"):
        if there := versions_of_result(client, model, digest):
            return there[0], False
        tags = version_tags(run)
        split, figures = (read_json(client, run, name) for name in ("split.json", "metrics.json"))
        if not (split and figures):
            raise UserError(f"{name} has lost its reports; delete the run, and `dvc repro` there logs it anew")
        text = card.render_card(model, run.data.params, run.data.tags | tags, split, figures)
        with store_errors():
            try:
                client.create_registered_model(model, description=ABOUT)
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
            source, id = logged[0].model_uri, logged[0].model_id
            made = client.create_model_version(
                model, source, run.info.run_id, tags, description=text, await_creation_for=0, model_id=id
            )
            # A process of another machine can have made one at the same moment. The first one stays.
            first = versions_of_result(client, model, digest)[0]
            if first.version != made.version:
                client.delete_model_version(model, made.version)
    return first, first.version == made.version


def version_tags(run: Run) -> dict[str, str]:
    """Where a version comes from and how good it is, as its tags."""
    tags = {name: run.data.tags[name] for name in (runs.RESULT_HASH, runs.INPUTS_HASH, "corpus", "corpus.digest")}
    tags |= commit_tags(run.data.tags)
    tags |= {f"data.{name}": digest for name, digest in dataset_digests(run).items()}
    return tags | {name: f"{run.data.metrics[name]:g}" for name in FIGURES if name in run.data.metrics}


def commit_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """The commit, and whether what ran differed from it; empty where git knew of none."""
    if provenance.COMMIT not in tags:
        return {}
    return {"git.commit": tags[provenance.COMMIT], provenance.DIRTY: tags.get(provenance.DIRTY, "false")}


def versions_of_result(client: MlflowClient, model: str, digest: str) -> list[ModelVersion]:
    """Oldest first. Raises StoreError."""
    return [version for version in all_versions(client, model) if version.tags.get(runs.RESULT_HASH) == digest]


def all_versions(client: MlflowClient, model: str) -> list[ModelVersion]:
    """Oldest first. Raises StoreError."""
    with store_errors():
        return sorted(client.search_model_versions(f"name = '{model}'"), key=lambda version: int(version.version))


def require_alias(name: str) -> None:
    """Raises Stop for what MLflow takes for no alias."""
    if not ALIAS.fullmatch(name):
        raise UserError(f"{name!r} is no alias: letters, digits, _ and -, neither `latest` nor like `v1`")


def find_version(client: MlflowClient, model: str, which: str) -> ModelVersion:
    """A version by its number or alias. Raises Stop where there is none, and StoreError."""
    which = which.removeprefix("@")
    if not NUMBER.fullmatch(which):
        require_alias(which)
    ask = client.get_model_version if NUMBER.fullmatch(which) else client.get_model_version_by_alias
    if version := get_or_none(lambda: ask(model, which)):
        return version
    numbers = ", ".join(str(version.version) for version in all_versions(client, model)) or "none"
    what = f"version {which}" if NUMBER.fullmatch(which) else f"version with the alias {which}"
    raise UserError(f"{model} has no {what}; versions there are: {numbers}")


def run_of_version(client: MlflowClient, version: ModelVersion) -> Run:
    """Raises Stop where it is gone, and StoreError."""
    if run := get_or_none(lambda: client.get_run(version.run_id or "")):
        return run
    raise UserError(f"the run of version {version.version} is gone, and with it where the version comes from")


def read_aliases(client: MlflowClient, model: str) -> dict[str, str]:
    """The number of the version that has each alias. Raises StoreError."""
    there = get_or_none(lambda: client.get_registered_model(model))
    return {alias: str(number) for alias, number in there.aliases.items()} if there else {}


def versions_table(client: MlflowClient, model: str) -> list[dict[str, Any]]:
    """A row per version, for people and programs. Raises StoreError."""
    found, held = all_versions(client, model), read_aliases(client, model)
    return [
        {
            "version": str(version.version),
            "aliases": sorted(alias for alias, number in held.items() if number == str(version.version)),
            "run": version.run_id,
            "result": version.tags.get(runs.RESULT_HASH),
            "corpus": version.tags.get("corpus"),
            "commit": version.tags.get("git.commit"),
            "dirty": version.tags.get(provenance.DIRTY) == "true",
            "figures": {name: float(version.tags[name]) for name in FIGURES if name in version.tags},
            "reproduction": json.loads(version.tags[VERDICT]) if VERDICT in version.tags else None,
            "registered": datetime.fromtimestamp(version.creation_timestamp / 1000, UTC).isoformat(timespec="seconds"),
        }
        for version in found
    ]


def print_versions(model: str, table: list[dict[str, Any]]) -> None:
    if not table:
        print(f"{model} has no version yet; `python -m pipeline.registry register` makes one of the workspace's result")
        return
    head = f"{'version':9}{'aliases':18}{'macro F1':>9}{'accuracy':>10}{'baseline F1':>13}"
    print(f"{head}  {'corpus':22}{'commit':12}made again")
    for row in table:
        figures = (row["figures"].get(name) for name in ("test_macro_f1", "test_accuracy", "baseline_test_macro_f1"))
        cells = ["-" if value is None else f"{value:.4f}" for value in figures]
        commit = (row["commit"] or "none")[:8] + ("+" if row["dirty"] else "")
        again = row["reproduction"]["verdict"] if row["reproduction"] else ""
        print(
            f"{row['version']:9}{', '.join(row['aliases']):18}{cells[0]:>9}{cells[1]:>10}{cells[2]:>13}  "
            f"{(row['corpus'] or '-')[:21]:22}{commit:12}{again}".rstrip()
        )
