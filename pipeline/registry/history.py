"""Every move of every alias, for good: MLflow keeps no history of aliases, and lets each be overwritten.

A move is a parameter of one run, the history's, as a parameter is the one thing that MLflow lets nobody change. The
moves of an alias are numbered. Who would make number 7 from what stood after number 6 cannot, if another process has
made number 7 meanwhile: of two moves at the same moment one is made, and the other has to look again.
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
from mlflow.exceptions import MlflowException

from pipeline.cli import UserError
from pipeline.registry import versions
from pipeline.tracking import runs, store
from pipeline.tracking.errors import store_errors
from pipeline.tracking.git import run_git

NAME = "history of {}"  # of the experiment, and of the run in it
LONGEST = 6000  # characters of a parameter that MLflow keeps
SETTLING = 30  # seconds within which a move that is recorded may still be on its way to the alias


class Conflict(Exception):
    """Another process moved the alias since it was looked at."""


@dataclass(frozen=True)
class AliasChange:
    alias: str
    number: int  # of this alias, from 1
    action: str  # promote or rollback
    before: str | None  # the version that had the alias
    after: str  # the version that has it from now on
    forced: bool = False  # against the gate's verdict
    reason: str | None = None
    figures: dict[str, Any] = field(default_factory=dict)  # by which it was decided
    failed: list[str] = field(default_factory=list)  # criteria
    who: str = ""
    at: str = ""  # UTC


def alias_changes(client: MlflowClient, model: str) -> list[AliasChange]:
    """All of them, oldest first. Raises StoreError."""
    with store_errors():
        found = [AliasChange(**json.loads(value)) for run in _runs(client, model) for value in run.data.params.values()]
    return sorted(found, key=lambda move: (move.at, move.alias, move.number))


def _runs(client: MlflowClient, model: str) -> list:
    experiment = client.get_experiment_by_name(NAME.format(model))
    if not experiment:
        return []
    return sorted(
        client.search_runs([experiment.experiment_id]), key=lambda run: (run.info.start_time, run.info.run_id)
    )


def alias_state(client: MlflowClient, model: str, alias: str) -> tuple[list[AliasChange], str | None]:
    """The alias' moves by their numbers, and the version that has it. Raises StoreError.

    Where the two do not agree, somebody has moved or deleted the alias by hand, or a move broke off: it is as it is.
    """
    while True:
        with store.lock("registry"):
            made = sorted((m for m in alias_changes(client, model) if m.alias == alias), key=lambda move: move.number)
            version = versions.read_aliases(client, model).get(alias)
        if not made or made[-1].after == version or _age(made[-1]) > SETTLING:
            return made, version
        time.sleep(0.5)


def _age(move: AliasChange) -> float:
    """Seconds since it was made."""
    return abs((datetime.now(UTC) - datetime.fromisoformat(move.at)).total_seconds())


def record_change(client: MlflowClient, model: str, move: AliasChange) -> None:
    """Record the move, then make it. Raises Moved if another process made one of this number, and StoreError."""
    move = replace(move, who=_who(), at=datetime.now(UTC).isoformat(timespec="milliseconds"))
    name, value = f"{move.alias}.{move.number:04}", json.dumps(asdict(move), ensure_ascii=False)
    if len(value) > LONGEST:  # of a longer one MLflow would keep a part, without a word
        raise UserError(f"a move of {len(value):,} characters is more than MLflow keeps; shorten the reason")
    with store.lock("registry"), runs.defer_signals():
        with store_errors():
            # Says where the history is. Who may not say it may not move the alias either, and has recorded nothing yet.
            client.set_registered_model_tag(model, "history", NAME.format(model))
            history = _open(client, model)
            is_first = _record(client, history, name, value)
        if not is_first:
            raise Conflict
        with store_errors():
            client.set_registered_model_alias(model, move.alias, move.after)


def _record(client: MlflowClient, history: str, name: str, value: str) -> bool:
    """Whether the move could be recorded: another one has this number otherwise."""
    try:
        client.log_param(history, name, value)
    except MlflowException:
        there = client.get_run(history).data.params.get(name)
        if there is None:
            raise
        return there == value  # it was told, and only the answer was lost
    return True


def _open(client: MlflowClient, model: str) -> str:
    """The id of the run that keeps the history, which is made if there is none."""
    name = NAME.format(model)
    if not client.get_experiment_by_name(name):
        with suppress(MlflowException):  # another process made it between the two calls
            client.create_experiment(name, store.artifact_location())
    experiment = client.get_experiment_by_name(name)
    if not experiment:
        raise MlflowException(f"the experiment {name}, which keeps the history, cannot be made")
    if experiment.lifecycle_stage == "deleted":
        raise MlflowException(f"the experiment {name}, which keeps the history, was deleted; restore it")
    if not _runs(client, model):
        made = client.create_run(experiment.experiment_id, run_name=name)
        client.set_terminated(made.info.run_id)
    return _runs(client, model)[0].info.run_id


def _who() -> str:
    """Whoever MLflow knows, else git, else this machine."""
    if user := os.environ.get("MLFLOW_TRACKING_USERNAME"):
        return user
    if name := run_git("config", "user.name"):
        return f"{name} <{run_git('config', 'user.email')}>"
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return f"user {os.getuid()}"


def previous_versions(made: list[AliasChange], version: str | None) -> list[str]:
    """The versions that had the alias before this one has it, the last of them first; each rollback takes one back."""
    stack: list[str] = []

    def go_back(number: str) -> None:
        while stack and stack[-1] != number:
            stack.pop()

    for move in made:
        # Where it was moved to by other means is part of its way; a move that broke off is not.
        if move.before in stack:
            go_back(move.before)
        elif move.before:
            stack.append(move.before)
        if move.action == "rollback":
            go_back(move.after)
        if stack[-1:] != [move.after]:
            stack.append(move.after)
    while stack and stack[-1] == version:
        stack.pop()
    return stack[::-1]


def drifted_aliases(made: list[AliasChange], now: Mapping[str, str]) -> list[str]:
    """Sentences on the aliases that are not where the last move left them."""
    last = {move.alias: move.after for move in sorted(made, key=lambda move: move.number)}
    return [
        f"{alias} is at {'version ' + now[alias] if alias in now else 'no version'}, and the last move recorded left "
        f"it at {'version ' + last[alias] if alias in last else 'none'}: other means moved it, or that move broke off"
        for alias in sorted(last.keys() | now.keys())
        if last.get(alias) != now.get(alias)
    ]


def print_history(client: MlflowClient, model: str, made: list[AliasChange]) -> None:
    """Print them. Raises StoreError."""
    if not made:
        print(f"no alias of {model} was moved yet; `python -m pipeline.registry promote` does")
    for move in made:
        forced = f", against the verdict ({', '.join(move.failed)})" if move.forced else ""
        what = f"{move.alias}: {move.before or 'none'} -> {move.after}, {move.action}{forced}"
        print(f"{move.at[:19].replace('T', ' ')} UTC  {what}, by {move.who}")
        if "low" in (figures := move.figures):
            print(
                f"    macro F1 {figures['macro_f1']:.4f}, {figures['against']}'s {figures['other_macro_f1']:.4f} "
                f"(difference {figures['low']:+.4f} to {figures['high']:+.4f}, p = {figures['p']:.2g}) "
                f"on {figures['posts']:,} test posts, md5 {figures['posts_md5'][:8]}"
            )
        if move.reason:
            print(f"    reason: {move.reason}")
    for sentence in drifted_aliases(made, versions.read_aliases(client, model)):
        print(f"note: {sentence}")
