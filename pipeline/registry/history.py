"""The history of the aliases, which nobody can change: MLflow itself keeps none, and lets an alias be overwritten.

A change of an alias is a parameter of one MLflow run, the history's, because MLflow lets nobody change a parameter. The
changes of an alias are numbered. A process that wants to make change 7 after it saw change 6 cannot do so if another
process has made change 7 in the meantime: of two changes at the same moment one is made, and the other process looks
again.
"""

import getpass
import json
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from pipeline.cli import UserError
from pipeline.registry import versions
from pipeline.tracking import git, runs, store
from pipeline.tracking.errors import store_errors

NAME = "history of {}"  # of the experiment, and of the run in it
TAG = "history"  # of the registered model: the experiment's name, also after the model is renamed
MAX_LENGTH = 6000  # characters of a parameter that MLflow keeps
SETTLING_SECONDS = 30  # within which a recorded change may not have reached the alias yet


class Conflict(Exception):
    """Another process changed the alias since it was read."""


@dataclass(frozen=True)
class AliasChange:
    alias: str
    number: int  # of the alias's changes, from 1
    action: str  # promote or rollback
    before: str | None  # the version that had the alias
    after: str  # the version that has it from now on
    forced: bool = False  # although the gate failed
    reason: str | None = None
    metrics: dict[str, Any] = field(default_factory=dict)  # of the gate
    failed: list[str] = field(default_factory=list)  # criteria
    user: str = ""
    time: str = ""  # UTC, ISO 8601


def alias_changes(client: MlflowClient, model: str) -> list[AliasChange]:
    """All changes, oldest first. Raises StoreError."""
    with store_errors():
        changes = [
            AliasChange(**json.loads(value))
            for run in history_runs(client, model)
            for value in run.data.params.values()
        ]
    return sorted(changes, key=lambda change: (change.time, change.alias, change.number))


def history_runs(client: MlflowClient, model: str) -> list[Run]:
    experiment = client.get_experiment_by_name(experiment_name(client, model))
    if not experiment:
        return []
    found = client.search_runs([experiment.experiment_id])
    return sorted(found, key=lambda run: (run.info.start_time, run.info.run_id))


def experiment_name(client: MlflowClient, model: str) -> str:
    """The name of the history's experiment, which a model that was renamed keeps."""
    with suppress(MlflowException):  # no such model yet
        return client.get_registered_model(model).tags.get(TAG, NAME.format(model))
    return NAME.format(model)


def is_deleted(client: MlflowClient, model: str) -> bool:
    """Whether the history's experiment was deleted in MLflow. Raises StoreError."""
    with store_errors():
        experiment = client.get_experiment_by_name(experiment_name(client, model))
    return experiment is not None and experiment.lifecycle_stage == "deleted"


def alias_state(client: MlflowClient, model: str, alias: str) -> tuple[list[AliasChange], str | None]:
    """The alias's changes by number, and the version that has it now. Raises StoreError.

    If the two do not agree, somebody changed the alias by other means, or a change was interrupted.
    """
    while True:
        with store.lock("registry"):
            changes = sorted(
                (change for change in alias_changes(client, model) if change.alias == alias),
                key=lambda change: change.number,
            )
            version = versions.read_aliases(client, model).get(alias)
        if not changes or changes[-1].after == version or age(changes[-1]) > SETTLING_SECONDS:
            return changes, version
        time.sleep(0.5)


def age(change: AliasChange) -> float:
    """Seconds since the change was recorded."""
    return abs((datetime.now(UTC) - datetime.fromisoformat(change.time)).total_seconds())


def record_change(client: MlflowClient, model: str, change: AliasChange) -> None:
    """Record the change, then set the alias.

    Raises Conflict if another process made a change with this number, UserError if the reason is too long, StoreError.
    """
    change = replace(change, user=current_user(), time=datetime.now(UTC).isoformat(timespec="milliseconds"))
    name, value = f"{change.alias}.{change.number:04}", json.dumps(asdict(change), ensure_ascii=False)
    if len(value) > MAX_LENGTH:  # MLflow would truncate it
        raise UserError(f"a change of {len(value):,} characters is longer than MLflow keeps; shorten the reason")
    with store.lock("registry"), runs.defer_signals():
        with store_errors("write to"):
            # Says where the history is. A user who may not write this may not set the alias either.
            client.set_registered_model_tag(model, TAG, experiment_name(client, model))
            is_recorded = log_change(client, history_run(client, model), name, value)
        if not is_recorded:
            raise Conflict
        with store_errors("write to"):
            client.set_registered_model_alias(model, change.alias, change.after)


def log_change(client: MlflowClient, run_id: str, name: str, value: str) -> bool:
    """Log the change as a parameter; False if another change has this name."""
    try:
        client.log_param(run_id, name, value)
    except MlflowException:
        recorded = client.get_run(run_id).data.params.get(name)
        if recorded is None:
            raise
        return recorded == value  # it was logged, and only the response was lost
    return True


def history_run(client: MlflowClient, model: str) -> str:
    """The id of the run that keeps the history; it is created if there is none."""
    name = experiment_name(client, model)
    if not client.get_experiment_by_name(name):
        with suppress(MlflowException):  # another process created it between the two calls
            client.create_experiment(name, store.artifact_location())
    experiment = client.get_experiment_by_name(name)
    if not experiment:
        raise MlflowException(f"the experiment {name}, which keeps the history, cannot be created")
    if experiment.lifecycle_stage == "deleted":
        raise MlflowException(f"the experiment {name}, which keeps the history, was deleted; restore it in MLflow")
    if not history_runs(client, model):
        run = client.create_run(experiment.experiment_id, run_name=name)
        client.set_terminated(run.info.run_id)
    return history_runs(client, model)[0].info.run_id


def current_user() -> str:
    """The user of the tracking server, of git, or of this machine."""
    if user := os.environ.get("MLFLOW_TRACKING_USERNAME"):
        return user
    if name := git.run_git("config", "user.name"):
        return f"{name} <{git.run_git('config', 'user.email')}>"
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return f"user {os.getuid()}"


def previous_versions(changes: list[AliasChange], version: str | None) -> list[str]:
    """The versions that had the alias before `version`, the latest first; a rollback returns to the first of them."""
    stack: list[str] = []

    def pop_to(number: str) -> None:
        while stack and stack[-1] != number:
            stack.pop()

    for change in changes:
        # A version that got the alias by other means is part of its way; a change that was interrupted is not.
        if change.before in stack:
            pop_to(change.before)
        elif change.before:
            stack.append(change.before)
        if change.action == "rollback":
            pop_to(change.after)
        if stack[-1:] != [change.after]:
            stack.append(change.after)
    while stack and stack[-1] == version:
        stack.pop()
    return stack[::-1]


def drifted_aliases(changes: list[AliasChange], now: Mapping[str, str]) -> list[str]:
    """A sentence for each alias that is not where its last recorded change left it."""
    last = {change.alias: change.after for change in sorted(changes, key=lambda change: change.number)}
    return [
        f"{alias} is at {'version ' + now[alias] if alias in now else 'no version'}, but the last recorded change left "
        f"it at {'version ' + last[alias] if alias in last else 'none'}: it was changed by other means, or that change "
        "was interrupted"
        for alias in sorted(last.keys() | now.keys())
        if last.get(alias) != now.get(alias)
    ]


def interrupted_changes(changes: list[AliasChange]) -> set[tuple[str, int]]:
    """Alias and number of the changes that never reached their alias: the next one began where they had begun."""
    interrupted = set()
    previous: dict[str, AliasChange] = {}
    for change in sorted(changes, key=lambda change: change.number):
        before = previous.get(change.alias)
        if before and change.before == before.before and change.before != before.after:
            interrupted.add((change.alias, before.number))
        previous[change.alias] = change
    return interrupted


def print_history(client: MlflowClient, model: str, changes: list[AliasChange]) -> None:
    """Print the changes, and which aliases are not where they left them. Raises StoreError."""
    if is_deleted(client, model):
        name = experiment_name(client, model)
        print(f"the experiment {name}, which keeps the history, was deleted; restore it in MLflow")
    elif not changes:
        print(f"no alias of {model} has changed yet; `python -m pipeline.registry promote` promotes a version")
    interrupted = interrupted_changes(changes)
    for change in changes:
        forced = f", forced although these criteria failed: {', '.join(change.failed)}" if change.forced else ""
        lost = ", interrupted before the alias was set" if (change.alias, change.number) in interrupted else ""
        what = f"{change.alias}: {change.before or 'none'} -> {change.after}, {change.action}{forced}{lost}"
        print(f"{change.time[:19].replace('T', ' ')} UTC  {what}, by {change.user}")
        if "difference_low" in (metrics := change.metrics):
            print(
                f"    macro F1 {metrics['macro_f1']:.4f}, {metrics['compared_with']} {metrics['other_macro_f1']:.4f} "
                f"(difference {metrics['difference_low']:+.4f} to {metrics['difference_high']:+.4f}, "
                f"p = {metrics['p_value']:.2g}) on {metrics['examples']:,} test examples, "
                f"md5 {metrics['test_md5'][:8]}"
            )
        if change.reason:
            print(f"    reason: {change.reason}")
    for sentence in drifted_aliases(changes, versions.read_aliases(client, model)):
        print(f"note: {sentence}")
