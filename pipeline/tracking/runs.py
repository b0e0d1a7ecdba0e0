"""The MLflow run of a result: made when training starts, found again by the result's names, completed by `track`.

A result has one run. Its state says how far it is: `training`, then `trained`, then `complete`; `ended` is one whose
training did not come to its end, by a failure or a person.
"""

import json
import os
import signal
import socket
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
from mlflow import MlflowClient
from mlflow.entities import DatasetInput, LoggedModel, Metric, Param, Run
from mlflow.exceptions import MlflowException

from pipeline.params import Params
from pipeline.tracking import hashes, provenance, store
from pipeline.tracking.store import StoreError, store_errors

INPUTS_HASH = "result.key"
MODEL_MD5 = "result.model"  # md5 of the model's file, as DVC has it: known when trained
RECIPE_HASH = "result.recipe"  # of parameters and code, as dvc.lock has them: known when complete
RESULT_HASH = "result.digest"  # of figures and model: known when complete
STATE = "result.state"
PROCESS = "result.process"  # of what writes the run: host, process id, and when it began (seconds since 1970)
PARENT = "mlflow.parentRunId"
# Of the run's artifacts.
FOLDER, PATCH, RESULT_INPUTS, TRAINING_FINGERPRINTS = (
    "lineage",
    "uncommitted.patch",
    "ingredients.json",
    "learned.parquet",
)
BATCH = 500  # metrics in a call; MLflow takes up to 1,000
INPUTS = {"train": "training", "validation": "validation"}

Log = Callable[[dict[str, float]], None]


@contextmanager
def training_run(params: Params) -> Iterator[Log]:
    """Make the run of this result for the time of its training; gives a function that logs an epoch's metrics.

    A training that ends badly leaves the run FAILED or KILLED. Nothing that is wrong with the store costs a training:
    it is said in a line, and `track` logs what is missing.
    """
    client, run, is_away = None, None, False

    def log(row: dict[str, float]) -> None:
        nonlocal is_away
        if client and run and not is_away:
            try:
                log_history(client, run.info.run_id, [row])
            except StoreError as error:
                print(f"  MLflow could not be told ({error}); training goes on, `track` logs the rest")
                is_away = True

    def end(tags: dict[str, str], status: str) -> None:
        if client and run:
            try:
                with store_errors():
                    set_tags(client, run, tags)
                    client.set_terminated(run.info.run_id, status)
            except StoreError as error:
                if not is_away:  # else that is known
                    print(f"  MLflow could not be told that training has ended ({error})")

    try:
        with defer_signals():
            client, run = begin_training_run(params)
        yield log
    except BaseException as error:
        with defer_signals():
            end({STATE: "ended"}, "FAILED" if isinstance(error, Exception) else "KILLED")
        raise
    end({MODEL_MD5: hashes.md5(Path(hashes.MODEL)), STATE: "trained"}, "FINISHED")


@contextmanager
def defer_signals() -> Iterator[None]:
    """Ctrl-C and SIGTERM wait until this is over: DVC passes on what its stage has got already, and a run that nobody
    knows of yet, or whose end is half told, would stay RUNNING.
    """
    came: list[int] = []
    before = {
        number: signal.signal(number, lambda number, _: came.append(number))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if came:
            signal.raise_signal(came[0])


def begin_training_run(params: Params) -> tuple[MlflowClient | None, Run | None]:
    """The client and a new run; neither where MLflow is out of reach.

    No run where one of it is trained already, or another process is training it at this moment: its curves are there.
    """
    try:
        with store.lock("runs"):
            client, experiment = store.connect(params.track.experiment)
            what = hashes.result_inputs(params)
            terminate_orphaned_runs(client, experiment)
            for run in find_runs(client, experiment, {INPUTS_HASH: hashes.inputs_hash(what)}):
                state = run.data.tags.get(STATE)
                # A training whose outcome DVC has lost, as it was ended before it had kept it, is done again.
                is_trained = state == "trained" and run.info.status == "FINISHED"
                if state == "complete" or is_trained or (state == "training" and is_here(run)):
                    return client, None
            return client, create_run(client, experiment, params, what, {STATE: "training"})
    except StoreError as error:
        print(f"  MLflow cannot be reached ({error}); training goes on, `track` logs it later")
        return None, None


def terminate_orphaned_runs(client: MlflowClient, experiment: str) -> None:
    """End the runs that a process of this machine left RUNNING, as it was itself ended (power, `kill -9`).

    Raises StoreError.
    """
    with store_errors():
        for run in client.search_runs([experiment], "attributes.status = 'RUNNING'"):
            if is_here(run) and not is_alive(run):
                was_training = run.data.tags.get(STATE) in ("training", "ended")
                if was_training:
                    client.set_tag(run.info.run_id, STATE, "ended")
                client.set_terminated(run.info.run_id, "KILLED" if was_training else "FINISHED")


def is_here(run: Run) -> bool:
    """Whether a process of this machine writes, or wrote, the run."""
    return run.data.tags.get(PROCESS, "").partition(":")[0] == socket.gethostname()


def is_alive(run: Run) -> bool:
    """Whether the process of this machine that writes the run still lives."""
    _, id, *since = run.data.tags[PROCESS].split(":")
    try:
        began = psutil.Process(int(id)).create_time()
    except psutil.Error:
        return False
    return not since or abs(began - float(since[0])) < 2  # else another process has the number by now


def this_process() -> str:
    return f"{socket.gethostname()}:{os.getpid()}:{psutil.Process().create_time():.0f}"


def find_runs(client: MlflowClient, experiment: str, tags: dict[str, str]) -> list[Run]:
    """The runs with these tags, oldest first. Raises StoreError."""
    query = " and ".join(f"tags.`{name}` = '{value}'" for name, value in tags.items())
    with store_errors():
        runs = client.search_runs([experiment], query)
    return sorted(runs, key=lambda run: (run.info.start_time, run.info.run_id))


def runs_of_result(client: MlflowClient, experiment: str, names: dict[str, str]) -> tuple[list[Run], list[Run]]:
    """The finished runs of a result, which should be one, and the begun ones that are its, too.

    `names` are its KEY and MODEL, and its DIGEST if it was evaluated. A begun run is one that waits for `track`, or
    that was left in the middle. Two machines that come to a result at the same time make two runs; the first of them is
    the one that both keep. Raises StoreError.
    """
    done = find_runs(client, experiment, names | {STATE: "complete"})
    trained = find_runs(
        client, experiment, {INPUTS_HASH: names[INPUTS_HASH], MODEL_MD5: names[MODEL_MD5], STATE: "trained"}
    )
    if RESULT_HASH not in names:  # then to be trained is all that is asked
        done += [run for run in trained if run.info.status == "FINISHED"]
        trained = [run for run in trained if run not in done]
    # Of these none knows its MODEL: the store was away when the training came to its end.
    training = find_runs(client, experiment, {INPUTS_HASH: names[INPUTS_HASH], STATE: "training"})
    return done, abandoned(trained + training)


def abandoned(runs: Sequence[Run]) -> list[Run]:
    """Those of the runs that no living process writes; of another machine's nobody can tell."""
    return [run for run in runs if run.info.status != "RUNNING" or (is_here(run) and not is_alive(run))]


def create_run(
    client: MlflowClient, experiment: str, params: Params, what: dict[str, Any], tags: dict[str, str]
) -> Run:
    """Make the run, and describe it. `tags` are its STATE, and its MODEL if that is known. Raises StoreError."""
    split = json.loads(hashes.SPLIT.read_text())
    corpus = split["corpus"]
    note = f"{split['posts']['train']:,} training posts of {corpus['source']} (licence: {corpus['licence']})."
    if corpus["sample"]:
        note += " A corpus for trying out: its figures say nothing of real posts."
    tags = {
        **tags,
        INPUTS_HASH: hashes.inputs_hash(what),
        PROCESS: this_process(),
        "corpus": corpus["source"],
        "corpus.digest": corpus["digest"],
        "mlflow.note.content": note,
        "mlflow.source.type": "LOCAL",
        "mlflow.source.name": "dvc repro",
        **provenance.git_tags(),
    }
    name = (
        f"{corpus['source']} {params.train.cell} {params.train.units} seed {params.train.seed} {tags[INPUTS_HASH][:6]}"
    )
    if experiment_name := tags.get(provenance.EXPERIMENT):
        name = f"{experiment_name}: {name}"
    with store_errors():
        run = client.create_run(experiment, run_name=name, tags=tags)
        # Of a result from DVC's cache, the machine that this process runs on is not the one that trained it.
        if tags[STATE] == "training":
            client.log_dict(run.info.run_id, provenance.describe_machine(), f"{FOLDER}/machine.json")
    log_run_inputs(client, run, params, what)
    return run


def log_run_inputs(client: MlflowClient, run: Run, params: Params, what: dict[str, Any]) -> None:
    """Tell all that is known before training: parameters, the training posts, what differs from the commit.

    Once more does no harm: a store that went away may have been told a part. Raises StoreError.
    """
    id = run.info.run_id
    with store_errors(), tempfile.TemporaryDirectory() as folder:
        client.log_batch(
            id, params=[Param(name, value) for name, value in flatten(params.model_dump(exclude={"registry"}))]
        )
        log_inputs(client, id, provenance.dataset_inputs(INPUTS))
        if patch := provenance.uncommitted_patch():
            file = Path(folder, PATCH)
            file.write_bytes(patch)
            client.log_artifact(id, str(file), FOLDER)
        client.log_dict(id, what, f"{FOLDER}/{RESULT_INPUTS}")  # last: with it, nothing of this is missing


def log_inputs(client: MlflowClient, run_id: str, inputs: list[DatasetInput]) -> None:
    """As MLflow's; it looks for a data set and then adds it, and another process may have added the same in between."""
    try:
        client.log_inputs(run_id, datasets=inputs)
    except MlflowException:
        client.log_inputs(run_id, datasets=inputs)


def is_described(client: MlflowClient, run: Run) -> bool:
    """Raises StoreError."""
    with store_errors():
        return f"{FOLDER}/{RESULT_INPUTS}" in {file.path for file in client.list_artifacts(run.info.run_id, FOLDER)}


def set_tags(client: MlflowClient, run: Run, tags: dict[str, str]) -> None:
    for name, value in tags.items():
        client.set_tag(run.info.run_id, name, value)


def delete_runs(client: MlflowClient, runs: Sequence[Run]) -> None:
    """Runs of a result that has its run, and their models: two processes came to it at the same time.

    Raises StoreError.
    """
    with store_errors():
        for run in runs:
            client.delete_run(run.info.run_id)
            for model in logged_models(client, client.get_run(run.info.run_id)):
                client.delete_logged_model(model.model_id)


def logged_models(client: MlflowClient, run: Run) -> list[LoggedModel]:
    """The models that a run made, and that are still there: it goes on to list those that were deleted."""
    models = []
    for output in run.outputs.model_outputs if run.outputs else []:
        with suppress(MlflowException):
            models.append(client.get_logged_model(output.model_id))
    return models


def flatten(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """`{"train": {"units": 64}}` as `("train.units", "64")`."""
    for name, value in values.items():
        if isinstance(value, dict):
            yield from flatten(value, f"{prefix}{name}.")
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
    with store_errors():
        for first in range(0, len(metrics), BATCH):
            client.log_batch(run_id, metrics[first : first + BATCH])
