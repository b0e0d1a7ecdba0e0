"""The MLflow run of a result: created when training starts, found by the result's hashes, completed by `track`.

A result has one run. Its tag `state` says how far it is: `training`, then `trained`, then `complete`; `ended` is one
whose training failed or was stopped.
"""

import json
import os
import signal
import socket
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import mlflow
import psutil
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, LoggedModel, Metric, Param, Run
from mlflow.exceptions import MlflowException

from pipeline.files import read_json
from pipeline.params import Params
from pipeline.tracking import git, hashes, provenance, store
from pipeline.tracking.errors import StoreError, get_or_none, store_errors

# Tags of a run.
STATE = "state"
INPUTS_HASH = "inputs_hash"
MODEL_MD5 = "model_md5"  # of the model's file, as DVC has it; known when trained
RESULT_HASH = "result_hash"  # known when complete
RECIPE_HASH = "recipe_hash"  # of parameters and code, as dvc.lock has them; known when complete
PROCESS = "process"  # that writes the run: host, process id, and when it started (seconds since 1970)
PARENT = "mlflow.parentRunId"
NOTE = "mlflow.note.content"
# Artifacts of a run.
PROVENANCE = "provenance"  # the folder with these
PATCH = "uncommitted.patch"
RESULT_INPUTS = "result_inputs.json"
TRAINING_FINGERPRINTS = "training_fingerprints.parquet"

DATASET_SCHEMA = json.dumps({"mlflow_colspec": [{"name": name, "type": "string"} for name in ("id", "text", "label")]})
TRAINING_DATASETS = {"train": "training", "validation": "validation"}  # split and MLflow's context
BATCH = 500  # metrics in a call; MLflow takes up to 1,000

LogEpoch = Callable[[dict[str, float]], None]


@contextmanager
def training_run(config: Params) -> Iterator[LogEpoch]:
    """Create the run of this result, RUNNING while it trains; yields a function that logs an epoch's metrics.

    A training that fails or is stopped leaves the run FAILED or KILLED. Errors of the store never end a training: they
    are printed in one line, and `track` logs what is missing.
    """
    client, run, is_unavailable = None, None, False

    def log_epoch(row: dict[str, float]) -> None:
        nonlocal is_unavailable
        if client and run and not is_unavailable:
            try:
                log_history(client, run.info.run_id, [row])
            except StoreError as error:
                print(f"  warning: {error}; training continues, and `track` logs the rest")
                is_unavailable = True

    def end(tags: dict[str, str], status: str) -> None:
        if client and run:
            try:
                with store_errors("write to"):
                    set_tags(client, run, tags)
                    client.set_terminated(run.info.run_id, status)
            except StoreError as error:
                if not is_unavailable:
                    print(f"  warning: {error}; `track` logs the end of the training")

    try:
        with defer_signals():
            client, run = begin_training_run(config)
        yield log_epoch
    except BaseException as error:
        with defer_signals():
            end({STATE: "ended"}, unfinished_status(error))
        raise
    with defer_signals():
        end({MODEL_MD5: hashes.md5(Path(hashes.MODEL)), STATE: "trained"}, "FINISHED")


def unfinished_status(error: BaseException) -> str:
    """MLflow's status of a run that an error or a signal, such as Ctrl-C, ended."""
    return "FAILED" if isinstance(error, Exception) else "KILLED"


@contextmanager
def defer_signals() -> Iterator[None]:
    """Delay Ctrl-C and SIGTERM until the end of the block.

    DVC passes Ctrl-C on to a stage that has received it already. Without the delay, the second one would leave a run
    RUNNING that was just created, or whose end is being written.
    """
    received: list[int] = []
    handlers = {
        number: signal.signal(number, lambda number, _: received.append(number))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        if received:
            signal.raise_signal(received[0])


def begin_training_run(config: Params) -> tuple[MlflowClient | None, Run | None]:
    """The client and a new run; the client and None if the result needs no new run; None twice without MLflow.

    A result needs none if it has a run that is trained, or that a process of this machine is training at this moment.
    """
    try:
        with store.lock("runs"):
            client, experiment = store.connect(config.track)
            inputs = hashes.result_inputs(config)
            terminate_orphaned_runs(client, experiment)
            for run in find_runs(client, experiment, {INPUTS_HASH: hashes.inputs_hash(inputs)}):
                state = run.data.tags.get(STATE)
                # DVC repeats a training if it was stopped before it had cached the outputs.
                is_trained = state == "trained" and run.info.status == "FINISHED"
                if state == "complete" or is_trained or (state == "training" and is_on_this_machine(run)):
                    return client, None
            return client, create_run(client, experiment, config, inputs, {STATE: "training"})
    except StoreError as error:
        print(f"  warning: {error.when_writing()}; training continues, and `track` logs it later")
        return None, None


def terminate_orphaned_runs(client: MlflowClient, experiment: str) -> list[Run]:
    """End the runs that a process of this machine left RUNNING because it was killed; returns those that go on.

    Raises StoreError.
    """
    with store_errors("write to"):
        running = client.search_runs([experiment], "attributes.status = 'RUNNING'")
        orphaned = orphaned_runs(running)
        for run in orphaned:
            was_training = run.data.tags.get(STATE) in ("training", "ended")
            if was_training:
                client.set_tag(run.info.run_id, STATE, "ended")
            client.set_terminated(run.info.run_id, "KILLED" if was_training else "FINISHED")
    return [run for run in running if run not in orphaned]


def is_on_this_machine(run: Run) -> bool:
    """Whether a process of this machine writes, or wrote, the run."""
    return run.data.tags.get(PROCESS, "").partition(":")[0] == socket.gethostname()


def is_alive(run: Run) -> bool:
    """Whether the process of this machine that writes the run is still running."""
    _, pid, *start = run.data.tags[PROCESS].split(":")
    try:
        started = psutil.Process(int(pid)).create_time()
    except psutil.Error:
        return False
    return not start or abs(started - float(start[0])) < 2  # otherwise another process has the same id


def this_process() -> str:
    return f"{socket.gethostname()}:{os.getpid()}:{psutil.Process().create_time():.0f}"


def find_runs(client: MlflowClient, experiment: str, tags: Mapping[str, str]) -> list[Run]:
    """The runs with these tags, oldest first. Raises StoreError."""
    query = " and ".join(f"tags.`{name}` = '{value}'" for name, value in tags.items())
    with store_errors():
        runs = client.search_runs([experiment], query)
    return sorted(runs, key=lambda run: (run.info.start_time, run.info.run_id))


def runs_of_result(client: MlflowClient, experiment: str, identity: Mapping[str, str]) -> tuple[list[Run], list[Run]]:
    """The finished runs of a result, which should be one, and the unfinished ones that nobody is writing.

    `identity` are its INPUTS_HASH and MODEL_MD5, and its RESULT_HASH if it was evaluated. Two machines that produce a
    result at the same time create two runs; both keep the first. Raises StoreError.
    """
    inputs, model = {INPUTS_HASH: identity[INPUTS_HASH]}, {MODEL_MD5: identity[MODEL_MD5]}
    finished = find_runs(client, experiment, {**identity, STATE: "complete"})
    trained = find_runs(client, experiment, inputs | model | {STATE: "trained"})
    if RESULT_HASH not in identity:  # a training alone is finished when it is trained
        finished += [run for run in trained if run.info.status == "FINISHED"]
        trained = [run for run in trained if run not in finished]
    # These have no MODEL_MD5, because the store was unavailable when the training ended.
    training = find_runs(client, experiment, inputs | {STATE: "training"})
    return finished, orphaned_runs(trained + training)


def orphaned_runs(runs: Iterable[Run]) -> list[Run]:
    """The runs that no process of this machine is writing, without those that another machine may be writing."""
    return [run for run in runs if run.info.status != "RUNNING" or (is_on_this_machine(run) and not is_alive(run))]


def create_run(
    client: MlflowClient, experiment: str, config: Params, inputs: dict[str, Any], tags: dict[str, str]
) -> Run:
    """Create the run with its inputs; `tags` are its STATE, and its MODEL_MD5 if it is known. Raises StoreError."""
    split = read_json(hashes.SPLIT)
    corpus = split["corpus"]
    tags = {
        **tags,
        INPUTS_HASH: hashes.inputs_hash(inputs),
        PROCESS: this_process(),
        "corpus": corpus["source"],
        NOTE: describe_corpus(split),
        provenance.USER: provenance.user_name(),
        "mlflow.source.type": "LOCAL",
        "mlflow.source.name": "dvc repro",
        **provenance.git_tags(),
    }
    if provenance.COMMIT not in tags and (refusal := git.refusal()):
        print(f"  warning: the run will name no commit: {refusal}")
    train = config.train
    name = f"{corpus['source']} {train.cell} {train.units} seed {train.seed} {tags[INPUTS_HASH][:6]}"
    if experiment_name := tags.get(provenance.EXPERIMENT):
        name = f"{experiment_name}: {name}"
    with store_errors("write to"):
        run = client.create_run(experiment, run_name=name, tags=tags)
        # The machine of a training; a result from DVC's cache may have been trained on another one.
        if tags[STATE] == "training":
            client.log_dict(run.info.run_id, provenance.describe_machine(), f"{PROVENANCE}/machine.json")
    log_run_inputs(client, run, config, inputs)
    return run


def describe_corpus(split: Mapping[str, Any]) -> str:
    corpus = split["corpus"]
    text = f"{split['examples']['train']:,} training examples of {corpus['source']} (licence: {corpus['licence']})."
    if corpus["sample"]:
        text += " This corpus is generated: its metrics say nothing about real texts."
    return text


def log_run_inputs(client: MlflowClient, run: Run, config: Params, inputs: dict[str, Any]) -> None:
    """Log what is known before training: parameters, training data, and the changes since the commit.

    Repeating it is harmless, after a store that failed in between. Raises StoreError.
    """
    run_id, patch = run.info.run_id, provenance.uncommitted_patch()
    values = run_params(config)
    datasets = dataset_inputs(TRAINING_DATASETS)
    with store_errors("write to"), tempfile.TemporaryDirectory() as folder:
        client.log_batch(run_id, params=[Param(name, value) for name, value in values])
        log_datasets(client, run_id, datasets)
        if patch:
            file = Path(folder, PATCH)
            file.write_bytes(patch)
            client.log_artifact(run_id, str(file), PROVENANCE)
        client.log_dict(run_id, inputs, f"{PROVENANCE}/{RESULT_INPUTS}")  # last: with it, all of this is logged


@contextmanager
def open_run(client: MlflowClient, run: Run) -> Iterator[None]:
    """Make the run MLflow's active run and RUNNING, then FINISHED, or FAILED or KILLED after an error.

    Raises StoreError.
    """
    with store_errors("write to"):
        set_tags(client, run, {PROCESS: this_process()})
        mlflow.start_run(run_id=run.info.run_id)
    try:
        yield
    except BaseException as error:
        with suppress(StoreError), store_errors():
            mlflow.end_run(unfinished_status(error))
        raise
    with store_errors("write to"):
        mlflow.end_run()


def has_inputs(client: MlflowClient, run: Run) -> bool:
    """Whether `log_run_inputs` was completed. Raises StoreError."""
    with store_errors():
        files = client.list_artifacts(run.info.run_id, PROVENANCE)
    return f"{PROVENANCE}/{RESULT_INPUTS}" in {file.path for file in files}


def dataset_inputs(contexts: Mapping[str, str]) -> list[DatasetInput]:
    """The splits as MLflow's inputs, from `{"train": "training"}`: split and context.

    Their digests are those under which DVC keeps the files.
    """
    split = read_json(hashes.SPLIT)
    inputs = []
    for name, context in contexts.items():
        path = Path(f"data/split/{name}.parquet")
        if not path.exists():  # not restored from DVC's cache, as no stage that ran needed it
            continue
        dataset = Dataset(
            name=f"{split['corpus']['source']} {name}",
            digest=hashes.md5(path),
            source_type="local",
            source=json.dumps({"uri": path.as_posix()}),
            schema=DATASET_SCHEMA,
            profile=json.dumps({"num_rows": split["examples"][name]}),
        )
        inputs.append(DatasetInput(dataset, [InputTag("mlflow.data.context", context)]))
    return inputs


def log_datasets(client: MlflowClient, run_id: str, inputs: list[DatasetInput]) -> None:
    add(partial(client.log_inputs, run_id, datasets=inputs))


def add(call: Callable[[], object]) -> None:
    """MLflow looks for a thing before it adds it; another process may add the same one in between."""
    try:
        call()
    except MlflowException:
        call()


def log_history(client: MlflowClient, run_id: str, rows: Iterable[Mapping[str, float]]) -> None:
    """Log the metrics of epochs, as Keras names them, each row with its `epoch` as the step. Raises StoreError."""
    now = int(time.time() * 1000)
    metrics = [
        Metric(epoch_metric(name), float(value), now, int(row["epoch"]))
        for row in rows
        for name, value in row.items()
        if name != "epoch"
    ]
    with store_errors("write to"):
        for first in range(0, len(metrics), BATCH):
            client.log_batch(run_id, metrics[first : first + BATCH])


def epoch_metric(name: str) -> str:
    """MLflow's name of Keras' metric of an epoch: `val/loss` of `val_loss`, `train/loss` of `loss`."""
    return f"val/{name.removeprefix('val_')}" if name.startswith("val_") else f"train/{name}"


def set_tags(client: MlflowClient, run: Run, tags: Mapping[str, str]) -> None:
    for name, value in tags.items():
        add(partial(client.set_tag, run.info.run_id, name, value))


def delete_runs(client: MlflowClient, runs: Sequence[Run]) -> None:
    """Delete runs and their models, of a result that has another run. Raises StoreError."""
    with store_errors("write to"):
        for run in runs:
            client.delete_run(run.info.run_id)
            for model in logged_models(client, client.get_run(run.info.run_id)):
                client.delete_logged_model(model.model_id)


def logged_models(client: MlflowClient, run: Run) -> list[LoggedModel]:
    """The models that a run logged, without deleted ones, which MLflow goes on to list. Raises StoreError."""
    models = []
    for output in run.outputs.model_outputs if run.outputs else []:
        if model := get_or_none(partial(client.get_logged_model, output.model_id)):
            models.append(model)
    return models


def run_params(config: Params) -> Iterator[tuple[str, str]]:
    """The parameters of a run, `("train.seed", "1")`: without those of the gate and of the connection."""
    return flatten(config.model_dump(exclude={"registry": True, "track": {"timeout"}}))


def flatten(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """`("train.units", "64")` from `{"train": {"units": 64}}`."""
    for name, value in values.items():
        if isinstance(value, dict):
            yield from flatten(value, f"{prefix}{name}.")
        else:
            yield prefix + name, str(value)
