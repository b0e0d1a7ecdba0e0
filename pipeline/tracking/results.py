"""Log a result: find or create its run, and complete it with what training and evaluation wrote into `reports/`."""

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mlflow import MlflowClient
from mlflow.entities import Metric, Run

from pipeline.corpus import tables
from pipeline.files import read_csv, read_json
from pipeline.metrics import MODELS
from pipeline.params import Params
from pipeline.tracking import hashes, model_logging, revisions, runs, store
from pipeline.tracking.errors import store_errors

REPORTS = Path("reports")
MODELS_FOLDER = Path("models")
TRAINING_REPORTS = ["split.json", "train.json", "baseline.json", "history.csv", "gradients.csv"]
FINGERPRINTS = [Path("data/fingerprints/baseline.parquet"), Path("data/fingerprints/train.parquet")]

WriteReports = Callable[[MlflowClient, Run], Sequence[Path]]


class Outcome(NamedTuple):
    run_name: str
    is_new: bool  # whether the run was created or completed just now
    is_settled: bool  # whether no other run is in progress


def track_result(config: Params, write_reports: WriteReports | None, summary: str = "") -> Outcome:
    """Find or complete the run of the result.

    `write_reports` writes the report files of a result that was evaluated, and `summary` is a Markdown table of its
    metrics. Without it, the result is that of a training. Raises StoreError.
    """
    inputs = hashes.result_inputs(config)
    names = result_names(hashes.inputs_hash(inputs), is_evaluated=bool(write_reports))
    client, experiment = store.connect(config.track)
    finished, unfinished = runs.runs_of_result(client, experiment, names)
    is_new = not finished
    if is_new:
        tags = names | {runs.STATE: "trained"}
        run = unfinished.pop(0) if unfinished else runs.create_run(client, experiment, config, inputs, tags)
        if not runs.has_inputs(client, run):
            runs.log_run_inputs(client, run, config, inputs)
        complete_run(client, run, names, write_reports, summary)
        finished = runs.runs_of_result(client, experiment, names)[0]
    elif write_reports:
        write_reports(client, finished[0])
    # Two machines may have completed the same result at the same time; the first run stays.
    runs.delete_runs(client, [*unfinished, *finished[1:]])
    if write_reports:
        set_recipe_hash(client, finished[0])
    in_progress = runs.terminate_orphaned_runs(client, experiment)
    return Outcome(str(finished[0].info.run_name), is_new, not in_progress)


def result_names(inputs_hash: str, is_evaluated: bool) -> dict[str, str]:
    """The tags by which the run of the result in the workspace is found."""
    files = [path for path in hashes.RESULT_FILES if is_evaluated or path != hashes.METRICS]
    md5s = {path: hashes.md5(Path(path)) for path in files}
    names = {runs.INPUTS_HASH: inputs_hash, runs.MODEL_MD5: md5s[hashes.MODEL]}
    return names | ({runs.RESULT_HASH: hashes.result_hash(md5s)} if is_evaluated else {})


def complete_run(
    client: MlflowClient, run: Run, names: Mapping[str, str], write_reports: WriteReports | None, summary: str
) -> None:
    """Log all that was made, and then the result's tags, so that a run with these tags lacks nothing.

    Raises StoreError.
    """
    tags = {**names, runs.STATE: "trained"}
    with runs.open_run(client, run):
        log_training(client, run)
        if write_reports:
            log_evaluation(client, run)
            with store_errors("write to"):
                model_logging.log_model(client, run.info.run_id, MODELS_FOLDER)
                run = client.get_run(run.info.run_id)  # now with its data sets
            reports = write_reports(client, run)
            with store_errors("write to"):
                for path in reports:
                    client.log_artifact(run.info.run_id, str(path))
            tags |= {runs.STATE: "complete", runs.NOTE: describe_run(run, reports[0].name, summary)}
        with store_errors("write to"):
            runs.set_tags(client, run, tags)


def describe_run(run: Run, page: str, summary: str) -> str:
    """The description that MLflow shows at the top of the run: corpus, name of the report page, and metrics."""
    where = f" Report page: the artifact `{page}`."
    # An earlier attempt may have added them already; and somebody may have changed or removed the description.
    corpus = run.data.tags.get(runs.NOTE, "").partition(where)[0]
    return f"{corpus}{where}\n\n{summary}"


def set_recipe_hash(client: MlflowClient, run: Run) -> None:
    """Set the tag of the parameters and code that made the result, which `rebuild` looks for. Raises StoreError."""
    recipe = revisions.recipe_hash(Path(revisions.LOCK).read_text())
    if run.data.tags.get(runs.RECIPE_HASH) != recipe:
        with store_errors("write to"):
            runs.set_tags(client, run, {runs.RECIPE_HASH: recipe})


def log_training(client: MlflowClient, run: Run) -> None:
    """Log the epochs that the run lacks, validation metrics, reports, and the fingerprints of training examples.

    Raises StoreError.
    """
    run_id = run.info.run_id
    training, baseline = read_report("train"), read_report("baseline")
    names = ("parameters", "best_epoch", "network_weight", "temperature")
    metrics = {f"model/{name}": training[name] for name in names if name in training}
    metrics |= prefix_metrics("classifier/val_", training["validation"])
    metrics |= prefix_metrics("network/val_", training.get("network_validation", {}))
    metrics |= prefix_metrics("baseline/val_", baseline["validation"])
    history = [{name: float(value) for name, value in row.items()} for row in read_csv(REPORTS / "history.csv")]
    with tempfile.TemporaryDirectory() as folder:
        fingerprints = Path(folder, runs.TRAINING_FINGERPRINTS)
        write_fingerprints(fingerprints)
        with store_errors("write to"):
            logged = {metric.step for metric in client.get_metric_history(run_id, "val/log_loss")}
            runs.log_history(client, run_id, [row for row in history if int(row["epoch"]) not in logged])
            log_metrics(client, run_id, metrics)
            for name in TRAINING_REPORTS:
                client.log_artifact(run_id, str(REPORTS / name))
            client.log_artifact(run_id, str(fingerprints), runs.PROVENANCE)


def write_fingerprints(path: Path) -> None:
    """Write the fingerprints of all examples that the network or the baseline was fitted on, each once."""
    rows = dict.fromkeys(row for table in FINGERPRINTS for row in tables.read_rows(table, tables.FINGERPRINT_SCHEMA))
    records = ({"id": id, "fingerprint": fingerprint} for id, fingerprint in rows)
    tables.write_table(path, tables.FINGERPRINT_SCHEMA, records)


def log_evaluation(client: MlflowClient, run: Run) -> None:
    """Log the test split, the metrics on it, the models' reports, and the plots. Raises StoreError."""
    run_id = run.info.run_id
    report = read_report("metrics")
    metrics = {"test/examples": report["examples"], "test/mcnemar_p_value": report["mcnemar"]["p_value"]}
    for model in MODELS:
        prefix = "test/" if model == "classifier" else f"{model}/test_"
        metrics |= prefix_metrics(prefix, report.get(model, {}))
    datasets = runs.dataset_inputs({"test": "test"})
    with store_errors("write to"):
        runs.log_datasets(client, run_id, datasets)
        log_metrics(client, run_id, metrics)
        client.log_artifact(run_id, str(REPORTS / "metrics.json"))
        client.log_artifacts(run_id, str(REPORTS / "evaluation"))
        client.log_artifacts(run_id, str(REPORTS / "plots"), "plots")
        client.log_artifact(run_id, "dvc.lock", runs.PROVENANCE)


def log_metrics(client: MlflowClient, run_id: str, metrics: Mapping[str, float]) -> None:
    now = int(time.time() * 1000)
    client.log_batch(run_id, [Metric(name, float(value), now, 0) for name, value in metrics.items()])


def prefix_metrics(prefix: str, metrics: Mapping[str, float]) -> dict[str, float]:
    """`{"test/accuracy": 0.9}` from `{"accuracy": 0.9}`."""
    return {f"{prefix}{name}": value for name, value in metrics.items()}


def read_report(name: str) -> Any:
    return read_json(REPORTS / f"{name}.json")
