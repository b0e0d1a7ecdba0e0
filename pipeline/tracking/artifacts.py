"""Where a run comes from, and which commits and experiments hold its result."""

import csv
import io
import json
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import DatasetInput, Run

from pipeline.tracking import provenance, revisions, runs
from pipeline.tracking.store import store_errors

METRICS = ["test_accuracy", "test_macro_f1", "test_log_loss", "baseline_test_accuracy", "validation_macro_f1"]


def print_run(client: MlflowClient, run: Run) -> None:
    """Print it, a line for each question. Raises StoreError."""
    tags, metrics = run.data.tags, run.data.metrics
    started = datetime.fromtimestamp(run.info.start_time / 1000, UTC)
    print(f"run           {run.info.run_name}")
    print(f"  id          {run.info.run_id}, {run.info.status}, {tags.get(runs.STATE, 'state unknown')}")
    print(f"  started     {started:%Y-%m-%d %H:%M:%S} UTC")
    print(f"result        {tags.get(runs.RESULT_HASH, 'not evaluated')}")
    print(f"  key         {tags.get(runs.INPUTS_HASH, 'unknown')}")
    print(f"  held by     {', '.join(revisions_of(tags)) or 'no commit and no experiment'}")
    for name, value in describe_inputs(client, run):
        print(f"{name if name == 'made from' else f'  {name}':14}{value}")
    for name in METRICS:
        if name in metrics:
            print(f"{name:24}{metrics[name]:.4f}")
    for model in runs.logged_models(client, run):
        print(f"model         models:/{model.model_id}")
    for version in registered_versions(client, run):
        print(f"  registered  {version}")


def describe_inputs(client: MlflowClient, run: Run) -> list[tuple[str, str]]:
    """What the result was made from, by name: commit, posts, machine, libraries. Raises StoreError."""
    tags = run.data.tags
    told = [("made from", describe_commit(client, run))]
    if experiment := tags.get(provenance.EXPERIMENT):
        told.append(("experiment", experiment))
    told.append(("corpus", f"{tags.get('corpus')}, digest {tags.get('corpus.digest')}"))
    for each in logged_datasets(run):
        context = next((tag.value for tag in each.tags if tag.key == "mlflow.data.context"), "data")
        posts = json.loads(each.dataset.profile or "{}").get("num_rows")
        told.append((context, f"{'?' if posts is None else f'{posts:,}'} posts, md5 {each.dataset.digest}"))
    machine = read_json(client, run, f"{runs.FOLDER}/machine.json")
    if not machine:
        return [*told, ("machine", "unknown: training came from DVC's cache, or MLflow was away at its start")]
    names = ("tensorflow", "keras", "numpy", "scikit-learn", "tokenizers", "onnxruntime")
    libraries = [f"{name} {machine['libraries'][name]}" for name in names if name in machine["libraries"]]
    return [
        *told,
        ("machine", f"{machine['processor']}, {machine['cores']} cores, {machine['system']}"),
        ("libraries", f"Python {machine['python']}, {', '.join(libraries)}"),
    ]


def logged_datasets(run: Run) -> list[DatasetInput]:
    return run.inputs.dataset_inputs if run.inputs else []


def dataset_digests(run: Run) -> dict[str, str]:
    """What DVC keeps the run's data sets under: `{"train": md5, ...}`."""
    return {each.dataset.name.split()[-1]: each.dataset.digest for each in logged_datasets(run)}


def revisions_of(tags: dict[str, str]) -> list[str]:
    """The commits and experiments whose `dvc.lock` names the run's result."""
    digest, model = tags.get(runs.RESULT_HASH), tags.get(runs.MODEL_MD5)
    return [
        name
        for name, _, result in revisions.all_results()
        if (result.digest == digest if digest else result.digest is None and result.model == model)
    ]


def describe_commit(client: MlflowClient, run: Run) -> str:
    """Commit, branch, and what differed from it."""
    tags = run.data.tags
    commit = tags.get(provenance.COMMIT)
    if not commit:
        return "no commit: git knew of none"
    words = f"commit {commit}" + (f", branch {tags[provenance.BRANCH]}" if provenance.BRANCH in tags else "")
    if tags.get(provenance.DIRTY) != "true":
        return f"{words}, unchanged"
    return f"{words}, with the changes in the run's {runs.FOLDER}/uncommitted.patch"


def read_json(client: MlflowClient, run: Run, path: str) -> Any:
    """A JSON artifact of the run; None where it has none. Raises StoreError."""
    text = read_text(client, run, path)
    return json.loads(text) if text else None


def read_text(client: MlflowClient, run: Run, path: str) -> str | None:
    """An artifact's text; None where the run has none. Raises StoreError."""
    content = read_bytes(client, run, path)
    return None if content is None else content.decode("utf-8")


def read_csv(client: MlflowClient, run: Run, path: str) -> list[dict[str, str]]:
    """The rows of an artifact that is a CSV file; none where the run has none. Raises StoreError."""
    return list(csv.DictReader(io.StringIO(read_text(client, run, path) or "")))


def read_bytes(client: MlflowClient, run: Run, path: str) -> bytes | None:
    """An artifact's bytes; None where the run has none. Raises StoreError."""
    with tempfile.TemporaryDirectory() as folder:
        there = download_artifact(client, run, path, folder)
        return there.read_bytes() if there else None


def download_artifact(client: MlflowClient, run: Run, path: str, target: str) -> Path | None:
    """An artifact as a file in the folder `target`; None where the run has none. Raises StoreError."""
    folder = str(Path(path).parent)
    with store_errors():
        there = client.list_artifacts(run.info.run_id, None if folder == "." else folder)
        if path not in {each.path for each in there}:
            return None
        return Path(client.download_artifacts(run.info.run_id, path, target))


def registered_versions(client: MlflowClient, run: Run) -> list[str]:
    """The registered versions of the run's model, with their aliases. Raises StoreError."""
    with store_errors():
        found = client.search_model_versions(f"run_id = '{run.info.run_id}'")
        return [
            f"{version.name}/{version.version}"
            + "".join(f" @{alias}" for alias in client.get_model_version(version.name, version.version).aliases)
            for version in found
        ]
