"""The MLflow run of a result: made when training starts, found again by the result's key, completed by `track`."""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, Run
from mlflow.exceptions import MlflowException

from pipeline.lineage import store
from pipeline.lineage.key import SPLIT, result_key
from pipeline.params import Params

KEY = "result.key"
STATE = "result.state"  # training, then trained, then complete
BATCH = 500  # metrics in a call; MLflow takes up to 1,000


class Live:
    """Takes the metrics of each epoch while training goes on. Without a run it takes them and does nothing."""

    def __init__(self, client: MlflowClient | None = None, run: Run | None = None) -> None:
        self.client, self.run = client, run

    def log(self, row: dict[str, float]) -> None:
        if self.client is None or self.run is None:
            return
        try:
            log_history(self.client, self.run.info.run_id, [row])
        except MlflowException as error:
            print(f"  MLflow could not be told ({first_line(error)}); training goes on, `track` logs the rest")
            self.client = None


@contextmanager
def live(params: Params) -> Iterator[Live]:
    """Make the run of this result, for the time of its training; a training that ends badly leaves it FAILED or KILLED.

    A store that cannot be reached costs no training: it is said in a line, and `track` logs everything later.
    """
    try:
        client, experiment = store.connect(params.track.experiment)
        key = result_key(params)
        if find(client, experiment, key, "complete"):
            yield Live()  # the same training once more: its curves are there
            return
        for stale in find(client, experiment, key, "training") + find(client, experiment, key, "trained"):
            client.set_terminated(stale.info.run_id, "KILLED")  # its process was ended before it could say so
            client.set_tag(stale.info.run_id, STATE, "stale")
        run = start(client, experiment, params, key, "training")
    except MlflowException as error:
        print(f"  MLflow cannot be reached ({first_line(error)}); training goes on, `track` logs it later")
        yield Live()
        return
    try:
        yield Live(client, run)
    except BaseException as error:
        client.set_terminated(run.info.run_id, "KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED")
        raise
    client.set_tag(run.info.run_id, STATE, "trained")


def find(client: MlflowClient, experiment: str, key: str, state: str) -> list[Run]:
    """The runs of a result in a state, newest first."""
    query = f"tags.`{KEY}` = '{key}' and tags.`{STATE}` = '{state}' and attributes.status != 'KILLED'"
    return list(client.search_runs([experiment], query, order_by=["start_time DESC"]))


def start(client: MlflowClient, experiment: str, params: Params, key: str, state: str) -> Run:
    """Make the run, with all that is known before training: every parameter, the corpus and the commit."""
    split = json.loads(SPLIT.read_text())
    corpus = split["corpus"]
    note = f"{split['posts']['train']:,} training posts of {corpus['source']} (licence: {corpus['licence']})."
    if corpus["kind"] == "sample":
        note += " A corpus for trying out: its figures say nothing of real posts."
    tags = {
        KEY: key,
        STATE: state,
        "corpus": corpus["source"],
        "corpus.digest": corpus["digest"],
        "mlflow.note.content": note,
        "mlflow.source.type": "LOCAL",
        "mlflow.source.name": "dvc repro",
        **git_tags(),
    }
    if experiment_name := os.environ.get("DVC_EXP_NAME"):
        tags["dvc.experiment"] = experiment_name
    name = f"{corpus['source']} gru {params.train.units} seed {params.train.seed} {key[:6]}"
    run = client.create_run(experiment, run_name=name, tags=tags)
    client.log_batch(run.info.run_id, params=[Param(key, value) for key, value in flat(params.model_dump())])
    return run


def git_tags() -> dict[str, str]:
    """The commit, and whether tracked files differed from it. Empty where git knows no commit."""
    commit = git("rev-parse", "HEAD")
    if not commit:
        return {}
    return {
        "mlflow.source.git.commit": commit,
        "git.dirty": str(bool(git("status", "--porcelain", "-uno"))).lower(),
    }


def git(*arguments: str) -> str:
    """What git answers; empty where it refuses."""
    return subprocess.run(["git", *arguments], capture_output=True, text=True, check=False).stdout.strip()


def flat(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """`{"train": {"units": 64}}` as `("train.units", "64")`."""
    for name, value in values.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, str(value)


def log_history(client: MlflowClient, run_id: str, rows: list[dict[str, float]]) -> None:
    """Log rows of metrics, each with its `epoch` as the step."""
    now = int(time.time() * 1000)
    metrics = [
        Metric(name, float(value), now, int(row["epoch"]))
        for row in rows
        for name, value in row.items()
        if name != "epoch"
    ]
    for begin in range(0, len(metrics), BATCH):
        client.log_batch(run_id, metrics[begin : begin + BATCH])


def first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
