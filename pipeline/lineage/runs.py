"""The MLflow run of a result: made when training starts, found again by the result's key, completed by `track`."""

import json
import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, Run

from pipeline.lineage import store
from pipeline.lineage.key import SPLIT, result_key
from pipeline.lineage.store import StoreError, told
from pipeline.params import Params

KEY = "result.key"
STATE = "result.state"  # training, then trained, then complete; or ended, by a failure or a person
PROCESS = "result.process"  # host and process id of the training
BATCH = 500  # metrics in a call; MLflow takes up to 1,000

Log = Callable[[dict[str, float]], None]


@contextmanager
def live(params: Params) -> Iterator[Log]:
    """Make the run of this result for the time of its training; gives a function that logs an epoch's metrics.

    A training that ends badly leaves the run FAILED or KILLED. Nothing that is wrong with the store costs a training:
    it is said in a line, and `track` logs what is missing.
    """
    client, run = begin(params)

    def log(row: dict[str, float]) -> None:
        nonlocal client
        if client and run:
            try:
                log_history(client, run.info.run_id, [row])
            except StoreError as error:
                print(f"  MLflow could not be told ({error}); training goes on, `track` logs the rest")
                client = None

    def end(state: str, status: str) -> None:
        if client and run:
            try:
                with told():
                    client.set_tag(run.info.run_id, STATE, state)
                    client.set_terminated(run.info.run_id, status)
            except StoreError as error:
                print(f"  MLflow could not be told that training has ended ({error})")

    try:
        yield log
    except BaseException as error:
        end("ended", "FAILED" if isinstance(error, Exception) else "KILLED")
        raise
    end("trained", "FINISHED")


def begin(params: Params) -> tuple[MlflowClient | None, Run | None]:
    """The client and a new run; no run where the result has a complete one, neither where MLflow is out of reach."""
    try:
        client, experiment = store.connect(params.track.experiment)
        key = result_key(params)
        with told():
            end_dead_runs(client, experiment)
        if find(client, experiment, key, "complete"):
            return client, None  # the same training once more: its curves are there
        return client, start(client, experiment, params, key, "training")
    except StoreError as error:
        print(f"  MLflow cannot be reached ({error}); training goes on, `track` logs it later")
        return None, None


def end_dead_runs(client: MlflowClient, experiment: str) -> None:
    """Runs whose training on this machine was ended before it could say so (power, `kill -9`) are KILLED."""
    query = f"attributes.status = 'RUNNING' and tags.`{STATE}` = 'training'"
    for run in client.search_runs([experiment], query):
        host, _, process = run.data.tags.get(PROCESS, "").rpartition(":")
        if host == socket.gethostname() and not is_alive(int(process)):
            client.set_tag(run.info.run_id, STATE, "ended")
            client.set_terminated(run.info.run_id, "KILLED")


def is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # alive, and another person's
    return True


def find(client: MlflowClient, experiment: str, key: str, state: str) -> list[Run]:
    """The runs of a result in a state, newest first. Raises StoreError."""
    query = f"tags.`{KEY}` = '{key}' and tags.`{STATE}` = '{state}'"
    with told():
        return list(client.search_runs([experiment], query, order_by=["start_time DESC"]))


def start(client: MlflowClient, experiment: str, params: Params, key: str, state: str) -> Run:
    """Make the run, with all that is known before training: every parameter, the corpus and the commit.

    Raises StoreError.
    """
    split = json.loads(SPLIT.read_text())
    corpus = split["corpus"]
    note = f"{split['posts']['train']:,} training posts of {corpus['source']} (licence: {corpus['licence']})."
    if corpus["sample"]:
        note += " A corpus for trying out: its figures say nothing of real posts."
    tags = {
        KEY: key,
        STATE: state,
        PROCESS: f"{socket.gethostname()}:{os.getpid()}",
        "corpus": corpus["source"],
        "corpus.digest": corpus["digest"],
        "mlflow.note.content": note,
        "mlflow.source.type": "LOCAL",
        "mlflow.source.name": "dvc repro",
        **git_tags(),
    }
    if experiment_name := os.environ.get("DVC_EXP_NAME"):
        tags["dvc.experiment"] = experiment_name
    name = f"{corpus['source']} {params.train.cell} {params.train.units} seed {params.train.seed} {key[:6]}"
    with told():
        run = client.create_run(experiment, run_name=name, tags=tags)
        client.log_batch(run.info.run_id, params=[Param(key, value) for key, value in flat(params.model_dump())])
    return run


def git_tags() -> dict[str, str]:
    """The commit, and whether what makes results differed from it. Empty where git knows no commit."""
    commit = git("rev-parse", "HEAD")
    if not commit:
        return {}
    # Not the rest: DVC itself changes dvc.lock and reports/ while stages run.
    changed = git("status", "--porcelain", "--", "pipeline", "params.yaml", "dvc.yaml", "requirements.txt")
    return {"mlflow.source.git.commit": commit, "git.dirty": str(bool(changed)).lower()}


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
    """Log rows of metrics, each with its `epoch` as the step. Raises StoreError."""
    now = int(time.time() * 1000)
    metrics = [
        Metric(name, float(value), now, int(row["epoch"]))
        for row in rows
        for name, value in row.items()
        if name != "epoch"
    ]
    with told():
        for first in range(0, len(metrics), BATCH):
            client.log_batch(run_id, metrics[first : first + BATCH])
