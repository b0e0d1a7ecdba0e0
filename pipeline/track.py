"""Stage 7, track: one MLflow run for this result, with all that was made.

    python -m pipeline.track

Runs at every `dvc repro`, also when every other stage came from DVC's cache. It finds the run that training began, or
makes it from the files alone, and completes it; a result that has its run already is left as it is.
"""

import csv
import hashlib
import json
from pathlib import Path

import mlflow
from mlflow import MlflowClient

from pipeline import params, stage
from pipeline.lineage import models, runs, store
from pipeline.lineage.key import result_key
from pipeline.lineage.store import StoreError, told
from pipeline.stage import Stop

MODELS = Path("models")
REPORTS = Path("reports")
FILES = ["split.json", "metrics.json", "train.json", "baseline.json", "history.csv"]
FILES += ["gradients.csv", "gradients.png"]
DIGEST = "result.digest"


def main() -> None:
    everything = params.load()
    try:
        track(everything)
    except StoreError as error:
        raise Stop(
            f"MLflow could not be told of this result ({error}); the result itself is whole: "
            "see to the store (MLFLOW_TRACKING_URI, or mlflow.db) and run `dvc repro` again"
        ) from None


def track(everything: params.Params) -> None:
    client, experiment = store.connect(everything.track.experiment)
    key, digest, measured = result_key(everything), result_digest(), figures()
    # The digest, too: another machine or other versions of the libraries make another result of the same inputs.
    for done in runs.find(client, experiment, key, "complete"):
        if done.data.tags.get(DIGEST) == digest:
            print(f"track: this result has its run already: {done.info.run_name}")
            return
    begun = runs.find(client, experiment, key, "trained")
    run = begun[0] if begun else runs.start(client, experiment, everything, key, "trained")
    run_id = run.info.run_id
    with told(), mlflow.start_run(run_id=run_id):
        runs.log_history(client, run_id, missing_history(client, run_id))
        mlflow.log_metrics(measured)
        for name in FILES:
            mlflow.log_artifact(str(REPORTS / name))
        for model in ("classifier", "baseline"):
            mlflow.log_artifacts(str(REPORTS / model), model)
        models.log_model(MODELS)
        mlflow.set_tags({DIGEST: digest, runs.STATE: "complete"})
    print(f"track: run {run.info.run_name} in experiment {everything.track.experiment}")


def result_digest() -> str:
    """sha256 of the figures and of the model's files."""
    files = [
        REPORTS / "metrics.json",
        MODELS / "model.onnx",
        MODELS / "baseline.safetensors",
        MODELS / "evidence.safetensors",
        MODELS / "tokenizer.json",
    ]
    return hashlib.sha256("".join(hashlib.sha256(file.read_bytes()).hexdigest() for file in files).encode()).hexdigest()


def missing_history(client: MlflowClient, run_id: str) -> list[dict[str, float]]:
    """The epochs that the run has not: all when training came from DVC's cache, some when the store was away."""
    had = {metric.step for metric in client.get_metric_history(run_id, "val_log_loss")}
    with (REPORTS / "history.csv").open(newline="") as file:
        rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    return [row for row in rows if int(row["epoch"]) not in had]


def figures() -> dict[str, float]:
    """The test figures, named `test_accuracy` and `baseline_test_accuracy` and so on, and validation's likewise."""
    test = json.loads((REPORTS / "metrics.json").read_text())
    trained, baseline = (json.loads((REPORTS / f"{name}.json").read_text()) for name in ("train", "baseline"))
    named = {"test": test["classifier"], "baseline_test": test["baseline"]}
    named |= {"validation": trained["validation"], "baseline_validation": baseline["validation"]}
    if "network" in test:
        named |= {"network_test": test["network"], "network_validation": trained["network_validation"]}
    result = {f"{prefix}_{name}": value for prefix, values in named.items() for name, value in values.items()}
    return result | {
        "test_posts": test["posts"],
        "mcnemar_p": test["mcnemar"]["p"],
        "parameters": trained["parameters"],
        "best_epoch": trained["best_epoch"],
    }


if __name__ == "__main__":
    stage.run(main)
