"""Stage 8, track: one MLflow run for this result, with all that was made.

    python -m pipeline.track

Runs at every `dvc repro`, also when every other stage came from DVC's cache. It finds the run that training began, or
makes it from the files alone, and completes it; a result that has its run already is left as it is.
"""

import csv
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import mlflow
from mlflow import MlflowClient

from pipeline import cli, params
from pipeline.cli import UserError
from pipeline.corpus import tables
from pipeline.report import card
from pipeline.tracking import hashes, pages, provenance, revisions, runs, store
from pipeline.tracking.store import StoreError, store_errors

MODELS = Path("models")
REPORTS = Path("reports")
LEARNED = [Path("data/fingerprints/baseline.parquet"), Path("data/fingerprints/train.parquet")]
TRAINED = ["split.json", "train.json", "baseline.json", "history.csv", "gradients.csv"]
DRAWN = ["history.svg", "gradients.svg"]


def main() -> None:
    everything = params.load()
    by_hand = "DVC_STAGE" not in os.environ
    evaluated = (REPORTS / "metrics.json").exists()
    if by_hand:
        refuse_mixture(["split", "vectorize", "baseline", "train", *(["evaluate", "explain"] if evaluated else [])])
    try:
        with store.lock("runs"):
            print(f"track: {track(everything, evaluated)}")
    except StoreError as error:
        sentence = (
            f"MLflow could not be told of this result ({error}); the result itself is whole: see to the store "
            "(MLFLOW_TRACKING_URI, or mlflow.db), then `dvc repro` or `python -m pipeline.tracking rebuild` tells it"
        )
        if evaluated:
            pages.write_pages(everything)
        if by_hand:
            raise UserError(sentence) from None
        # A stage that fails costs an experiment in a temporary folder all that it has made.
        print(f"warning: {sentence}")


def refuse_mixture(stages: list[str]) -> None:
    """Raises Stop where parameters, code and files are not those of one result, as only DVC makes sure they are."""
    asked = subprocess.run([sys.executable, "-m", "dvc", "status", "--json", *stages], capture_output=True, text=True)
    if asked.returncode:
        raise UserError(f"DVC cannot say whether this is one result: {asked.stderr.strip().splitlines()[-1]}")
    if changed := json.loads(asked.stdout):
        raise UserError(f"what is here is not one result: {', '.join(changed)} must run again; `dvc repro` does that")


def track(everything: params.Params, evaluated: bool) -> str:
    """What was done, in words; a result without its test figures gets the run of a training. Raises StoreError."""
    client, experiment = store.connect(everything.track.experiment)
    what, files = (
        hashes.result_inputs(everything),
        [path for path in hashes.RESULT_FILES if evaluated or path != hashes.METRICS],
    )
    md5s = {path: hashes.md5(Path(path)) for path in files}
    names = {runs.INPUTS_HASH: hashes.inputs_hash(what), runs.MODEL_MD5: md5s[hashes.MODEL]}
    if evaluated:
        names[runs.RESULT_HASH] = hashes.result_hash(md5s)
    done, begun = runs.runs_of_result(client, experiment, names)
    said = "this result has its run already: {name}"
    if not done:
        said = f"run {{name}} in experiment {everything.track.experiment}"
        tags = names | {runs.STATE: "trained"}
        run = begun.pop(0) if begun else runs.create_run(client, experiment, everything, what, tags)
        if not runs.is_described(client, run):
            runs.log_run_inputs(client, run, everything, what)
        with store_errors(), mlflow.start_run(run_id=run.info.run_id):
            runs.set_tags(client, run, {runs.PROCESS: runs.this_process()})
            log_training(client, run.info.run_id)
            if evaluated:
                log_evaluation(client, run.info.run_id)
                log_pages(client, run.info.run_id, everything)
            runs.set_tags(client, run, names | {runs.STATE: "complete" if evaluated else "trained"})
            done = [run]
    elif evaluated:
        pages.write_pages(everything, client, done[0])
    if evaluated:
        with store_errors():
            client.set_tag(done[0].info.run_id, runs.RECIPE_HASH, revisions.recipe_hash(Path("dvc.lock").read_text()))
    runs.delete_runs(client, begun + runs.runs_of_result(client, experiment, names)[0][1:])
    runs.terminate_orphaned_runs(client, experiment)
    return said.format(name=done[0].info.run_name)


def log_training(client: MlflowClient, run_id: str) -> None:
    """What training made: epochs that the run has not yet, validation figures, reports, what it has learned from."""
    had = {metric.step for metric in client.get_metric_history(run_id, "val_log_loss")}
    with (REPORTS / "history.csv").open(newline="") as file:
        rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    runs.log_history(client, run_id, [row for row in rows if int(row["epoch"]) not in had])
    trained, baseline = (json.loads((REPORTS / f"{name}.json").read_text()) for name in ("train", "baseline"))
    measured = named("validation", trained["validation"]) | named("baseline_validation", baseline["validation"])
    if "network_validation" in trained:
        measured |= named("network_validation", trained["network_validation"])
    mlflow.log_metrics(measured | {name: trained[name] for name in ("parameters", "best_epoch")})
    for name in TRAINED:
        mlflow.log_artifact(str(REPORTS / name))
    for name in DRAWN:
        mlflow.log_artifact(str(REPORTS / name), "plots")
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder, runs.TRAINING_FINGERPRINTS)
        # Nearly always both have learned from the same posts.
        learned = dict.fromkeys(row for path in LEARNED for row in tables.read_rows(path, tables.FINGERPRINT_SCHEMA))
        tables.write_table(
            table, tables.FINGERPRINT_SCHEMA, ({"id": id, "fingerprint": fingerprint} for id, fingerprint in learned)
        )
        mlflow.log_artifact(str(table), runs.FOLDER)


def log_evaluation(client: MlflowClient, run_id: str) -> None:
    """What evaluation made: the test posts, figures on them, each model's reports; and the model itself."""

    runs.log_inputs(client, run_id, provenance.dataset_inputs({"test": "test"}))
    figures = json.loads((REPORTS / "metrics.json").read_text())
    measured = named("test", figures["classifier"]) | named("baseline_test", figures["baseline"])
    if "network" in figures:
        measured |= named("network_test", figures["network"])
    mlflow.log_metrics(measured | {"test_posts": figures["posts"], "mcnemar_p": figures["mcnemar"]["p"]})
    mlflow.log_artifact(str(REPORTS / "metrics.json"))
    mlflow.log_artifacts(str(REPORTS / "evaluation"))
    mlflow.log_artifact("dvc.lock", runs.FOLDER)
    from pipeline.tracking import model_logging  # takes a second to import

    model_logging.log_model(client, run_id, MODELS)


def log_pages(client: MlflowClient, run_id: str, everything: params.Params) -> None:
    """The page of the result, its model card, and a table of its figures at the top of what MLflow shows of the run."""
    run = client.get_run(run_id)
    pages.write_pages(everything, client, run)
    for path in (pages.PAGE, pages.CARD):
        mlflow.log_artifact(str(path))
    page = f" Its page is among its artifacts: `{pages.PAGE.name}`."
    # A track that broke off may have come this far; and a person may have written another note, or none.
    about = run.data.tags.get("mlflow.note.content", "").partition(page)[0]
    figures = json.loads((REPORTS / "metrics.json").read_text())
    text = f"{about}{page}\n\n{card.headline(figures)}"
    client.set_tag(run_id, "mlflow.note.content", text)


def named(prefix: str, figures: dict[str, float]) -> dict[str, float]:
    """`{"accuracy": 0.9}` as `{"test_accuracy": 0.9}`."""
    return {f"{prefix}_{name}": value for name, value in figures.items()}


if __name__ == "__main__":
    cli.run(main)
