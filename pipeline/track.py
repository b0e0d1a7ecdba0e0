"""Stage 7, track: one MLflow run for this result, with all that was made.

    python -m pipeline.track

Runs at every `dvc repro`, also when every other stage came from DVC's cache. It finds the run that training began, or
makes it from the files alone, and completes it; a result that has its run already is left as it is.
"""

import csv
import json
from pathlib import Path

import mlflow
from mlflow.exceptions import MlflowException

from pipeline import params, stage
from pipeline.lineage import models, runs, store
from pipeline.lineage.key import result_key
from pipeline.stage import Stop

MODELS = Path("models")
REPORTS = Path("reports")
FILES = ["split.json", "metrics.json", "train.json", "baseline.json", "history.csv"]


def main() -> None:
    everything = params.load()
    try:
        track(everything)
    except MlflowException as error:
        raise Stop(
            f"MLflow could not be told of this result ({runs.first_line(error)}); nothing is lost: "
            "start the server, or unset MLFLOW_TRACKING_URI, and run `dvc repro` again"
        ) from None


def track(everything: params.Params) -> None:
    client, experiment = store.connect(everything.track.experiment)
    key = result_key(everything)
    if done := runs.find(client, experiment, key, "complete"):
        print(f"track: this result has its run already: {done[0].info.run_name}")
        return
    begun = runs.find(client, experiment, key, "trained")
    run = begun[0] if begun else runs.start(client, experiment, everything, key, "trained")
    with mlflow.start_run(run_id=run.info.run_id):
        if not begun:  # training came from DVC's cache: its curves are in a file
            with (REPORTS / "history.csv").open(newline="") as file:
                runs.log_history(
                    client,
                    run.info.run_id,
                    [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)],
                )
        mlflow.log_metrics(figures())
        for name in FILES:
            mlflow.log_artifact(str(REPORTS / name))
        for model in ("gru", "baseline"):
            mlflow.log_artifacts(str(REPORTS / model), model)
        models.log_model(MODELS)
        client.set_tag(run.info.run_id, runs.STATE, "complete")
    print(f"track: run {run.info.run_name} in experiment {everything.track.experiment}")


def figures() -> dict[str, float]:
    """The test figures, named `test_accuracy` and `baseline_test_accuracy` and so on, and validation's likewise."""
    test = json.loads((REPORTS / "metrics.json").read_text())
    trained, baseline = (json.loads((REPORTS / f"{name}.json").read_text()) for name in ("train", "baseline"))
    named = {"test": test["gru"], "baseline_test": test["baseline"]}
    named |= {"validation": trained["validation"], "baseline_validation": baseline["validation"]}
    result = {f"{prefix}_{name}": value for prefix, values in named.items() for name, value in values.items()}
    return result | {
        "test_posts": test["posts"],
        "parameters": trained["parameters"],
        "best_epoch": trained["best_epoch"],
    }


if __name__ == "__main__":
    stage.run(main)
