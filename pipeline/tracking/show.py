"""Print a run: its result, what it was made from, its metrics and its models."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from mlflow import MlflowClient
from mlflow.entities import Run

from pipeline.tracking import provenance, revisions, runs
from pipeline.tracking.artifacts import corpus_digest, logged_datasets, read_json
from pipeline.tracking.errors import store_errors

METRICS = ["test/accuracy", "test/macro_f1", "test/log_loss", "baseline/test_accuracy", "classifier/val_macro_f1"]
LIBRARIES = ("tensorflow", "keras", "numpy", "scikit-learn", "tokenizers", "onnxruntime")


def print_run(client: MlflowClient, run: Run) -> None:
    """Print it, a line for each fact. Raises StoreError."""
    tags, metrics = run.data.tags, run.data.metrics
    lines = [
        ("run", str(run.info.run_name)),
        ("  id", f"{run.info.run_id}, {run.info.status}, {tags.get(runs.STATE, 'state unknown')}"),
        ("  started", f"{datetime.fromtimestamp(run.info.start_time / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"),
        ("  user", tags.get(provenance.USER, "unknown")),
        ("result", tags.get(runs.RESULT_HASH, "not evaluated")),
        ("  inputs", tags.get(runs.INPUTS_HASH, "unknown")),
        ("  revisions", ", ".join(revisions_with_result(tags)) or "no commit and no experiment"),
        ("made from", ""),
        *((f"  {name}", value) for name, value in describe_provenance(client, run)),
        *((name, f"{metrics[name]:.4f}") for name in METRICS if name in metrics),
        *(("model", f"models:/{model.model_id}") for model in runs.logged_models(client, run)),
        *(("  registered", version) for version in registered_versions(client, run)),
    ]
    width = max(len(name) for name, _ in lines) + 2
    for name, value in lines:
        print(f"{name:{width}}{value}".rstrip())


def describe_provenance(client: MlflowClient, run: Run) -> list[tuple[str, str]]:
    """What the result was made from, by name: commit, data, machine, libraries. Raises StoreError."""
    tags = run.data.tags
    lines = [("commit", describe_commit(tags))]
    if experiment := tags.get(provenance.EXPERIMENT):
        lines.append(("experiment", experiment))
    lines.append(("corpus", f"{tags.get('corpus')}, digest {corpus_digest(client, run)}"))
    for each in logged_datasets(run):
        context = next((tag.value for tag in each.tags if tag.key == "mlflow.data.context"), "data")
        examples = json.loads(each.dataset.profile or "{}").get("num_rows")
        count = "?" if examples is None else f"{examples:,}"
        lines.append((context, f"{count} examples, md5 {each.dataset.digest}"))
    machine = read_json(client, run, f"{runs.PROVENANCE}/machine.json")
    if not machine:
        return [*lines, ("machine", "unknown: the model is from DVC's cache, or MLflow was unavailable")]
    threads = f", {machine['threads']} threads" if machine.get("threads", machine["cores"]) != machine["cores"] else ""
    libraries = [f"{name} {machine['libraries'][name]}" for name in LIBRARIES if name in machine["libraries"]]
    return [
        *lines,
        ("machine", f"{machine['processor']}, {machine['cores']} cores{threads}, {machine['system']}"),
        ("libraries", f"Python {machine['python']}, {', '.join(libraries)}"),
    ]


def describe_commit(tags: Mapping[str, str]) -> str:
    """Commit, branch, and whether the sources differed from it."""
    if provenance.COMMIT not in tags:
        return "none"
    text = tags[provenance.COMMIT]
    if branch := tags.get(provenance.BRANCH):
        text += f", branch {branch}"
    if tags.get(provenance.DIRTY) == "true":
        text += f", with the changes in the run's {runs.PROVENANCE}/{runs.PATCH}"
    return text


def revisions_with_result(tags: Mapping[str, str]) -> list[str]:
    """The commits and experiments whose `dvc.lock` describes the result of the run with these tags."""
    result_hash, model_md5 = tags.get(runs.RESULT_HASH), tags.get(runs.MODEL_MD5, "")
    if not model_md5:
        return []
    return [
        name
        for name, _, result in revisions.all_results(model_md5)
        if (result.result_hash, result.model_md5) == (result_hash, model_md5)
    ]


def registered_versions(client: MlflowClient, run: Run) -> list[str]:
    """The registered versions of the run's model, with their aliases. Raises StoreError."""
    with store_errors():
        versions = client.search_model_versions(f"run_id = '{run.info.run_id}'")
        return [
            f"{version.name}/{version.version}"
            + "".join(f" @{alias}" for alias in client.get_model_version(version.name, version.version).aliases)
            for version in versions
        ]


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table; where a terminal is too narrow, long values are shortened."""
    import rich.box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=rich.box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="ellipsis", no_wrap=True, justify="left" if column == columns[0] else "right")
    for row in rows:
        table.add_row(*row)
    console = Console(markup=False, highlight=False)
    if not console.is_terminal:  # a file or a pipe has no width
        console.width = 200
    console.print(table)
