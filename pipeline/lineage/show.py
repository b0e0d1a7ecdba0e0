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

from pipeline.lineage import origin, revisions, runs
from pipeline.lineage.store import told

METRICS = ["test_accuracy", "test_macro_f1", "test_log_loss", "baseline_test_accuracy", "validation_macro_f1"]


def show(client: MlflowClient, run: Run) -> None:
    """Print it, a line for each question. Raises StoreError."""
    tags, metrics = run.data.tags, run.data.metrics
    started = datetime.fromtimestamp(run.info.start_time / 1000, UTC)
    print(f"run           {run.info.run_name}")
    print(f"  id          {run.info.run_id}, {run.info.status}, {tags.get(runs.STATE, 'state unknown')}")
    print(f"  started     {started:%Y-%m-%d %H:%M:%S} UTC")
    print(f"result        {tags.get(runs.DIGEST, 'not evaluated')}")
    print(f"  key         {tags.get(runs.KEY, 'unknown')}")
    print(f"  held by     {', '.join(holders(tags)) or 'no commit and no experiment'}")
    for name, value in ingredients(client, run):
        print(f"{name if name == 'made from' else f'  {name}':14}{value}")
    for name in METRICS:
        if name in metrics:
            print(f"{name:24}{metrics[name]:.4f}")
    for model in runs.logged_models(client, run):
        print(f"model         models:/{model.model_id}")
    for version in versions(client, run):
        print(f"  registered  {version}")


def ingredients(client: MlflowClient, run: Run) -> list[tuple[str, str]]:
    """What the result was made from, by name: commit, posts, machine, libraries. Raises StoreError."""
    tags = run.data.tags
    told = [("made from", made_from(client, run))]
    if experiment := tags.get(origin.EXPERIMENT):
        told.append(("experiment", experiment))
    told.append(("corpus", f"{tags.get('corpus')}, digest {tags.get('corpus.digest')}"))
    for each in data_sets(run):
        context = next((tag.value for tag in each.tags if tag.key == "mlflow.data.context"), "data")
        posts = json.loads(each.dataset.profile or "{}").get("num_rows")
        told.append((context, f"{'?' if posts is None else f'{posts:,}'} posts, md5 {each.dataset.digest}"))
    machine = artifact(client, run, f"{runs.FOLDER}/machine.json")
    if not machine:
        return [*told, ("machine", "unknown: training came from DVC's cache, or MLflow was away at its start")]
    names = ("tensorflow", "keras", "numpy", "scikit-learn", "tokenizers", "onnxruntime")
    libraries = [f"{name} {machine['libraries'][name]}" for name in names if name in machine["libraries"]]
    return [
        *told,
        ("machine", f"{machine['processor']}, {machine['cores']} cores, {machine['system']}"),
        ("libraries", f"Python {machine['python']}, {', '.join(libraries)}"),
    ]


def data_sets(run: Run) -> list[DatasetInput]:
    return run.inputs.dataset_inputs if run.inputs else []


def digests(run: Run) -> dict[str, str]:
    """What DVC keeps the run's data sets under: `{"train": md5, ...}`."""
    return {each.dataset.name.split()[-1]: each.dataset.digest for each in data_sets(run)}


def holders(tags: dict[str, str]) -> list[str]:
    """The commits and experiments whose `dvc.lock` names the run's result."""
    digest, model = tags.get(runs.DIGEST), tags.get(runs.MODEL)
    return [
        name
        for name, _, result in revisions.all_results()
        if (result.digest == digest if digest else result.digest is None and result.model == model)
    ]


def made_from(client: MlflowClient, run: Run) -> str:
    """Commit, branch, and what differed from it."""
    tags = run.data.tags
    commit = tags.get(origin.COMMIT)
    if not commit:
        return "no commit: git knew of none"
    words = f"commit {commit}" + (f", branch {tags[origin.BRANCH]}" if origin.BRANCH in tags else "")
    if tags.get(origin.DIRTY) != "true":
        return f"{words}, unchanged"
    return f"{words}, with the changes in the run's {runs.FOLDER}/uncommitted.patch"


def artifact(client: MlflowClient, run: Run, path: str) -> Any:
    """A JSON artifact of the run; None where it has none. Raises StoreError."""
    text = file(client, run, path)
    return json.loads(text) if text else None


def file(client: MlflowClient, run: Run, path: str) -> str | None:
    """An artifact's text; None where the run has none. Raises StoreError."""
    content = data(client, run, path)
    return None if content is None else content.decode("utf-8")


def table(client: MlflowClient, run: Run, path: str) -> list[dict[str, str]]:
    """The rows of an artifact that is a CSV file; none where the run has none. Raises StoreError."""
    return list(csv.DictReader(io.StringIO(file(client, run, path) or "")))


def data(client: MlflowClient, run: Run, path: str) -> bytes | None:
    """An artifact's bytes; None where the run has none. Raises StoreError."""
    with tempfile.TemporaryDirectory() as folder:
        there = download(client, run, path, folder)
        return there.read_bytes() if there else None


def download(client: MlflowClient, run: Run, path: str, target: str) -> Path | None:
    """An artifact as a file in the folder `target`; None where the run has none. Raises StoreError."""
    folder = str(Path(path).parent)
    with told():
        there = client.list_artifacts(run.info.run_id, None if folder == "." else folder)
        if path not in {each.path for each in there}:
            return None
        return Path(client.download_artifacts(run.info.run_id, path, target))


def versions(client: MlflowClient, run: Run) -> list[str]:
    """The registered versions of the run's model, with their aliases. Raises StoreError."""
    with told():
        found = client.search_model_versions(f"run_id = '{run.info.run_id}'")
        return [
            f"{version.name}/{version.version}"
            + "".join(f" @{alias}" for alias in client.get_model_version(version.name, version.version).aliases)
            for version in found
        ]
