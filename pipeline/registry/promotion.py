"""Change an alias: promote a version that passes the gate, or roll back to the version before."""

import textwrap

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from pipeline.cli import UserError
from pipeline.params.registry import Registry
from pipeline.registry import gate, history, versions
from pipeline.registry.gate import Verdict
from pipeline.registry.history import AliasChange, Conflict

LINE_WIDTH = 110
MAX_REASON_LENGTH = 1000  # characters; MLflow keeps 6,000 of a whole change


def promote(
    client: MlflowClient,
    params: Registry,
    version: ModelVersion,
    alias: str,
    allow_sample: bool,
    force: bool,
    reason: str | None,
) -> bool:
    """Set the alias to the version if it passes the gate, or with `force`; returns whether it has the alias.

    If another promotion was faster, the version is compared with that one. Raises UserError and StoreError.
    """
    model, number = params.model, str(version.version)
    if reason and len(reason) > MAX_REASON_LENGTH:
        raise UserError(f"the reason is longer than {MAX_REASON_LENGTH:,} characters; shorten it")
    predict = cached_predictions(client)
    while True:
        changes, current = history.alias_state(client, model, alias)
        if current == number:
            print(f"version {number} is the {alias} already")
            return True
        champion = versions.find_version(client, model, current) if current else None
        against = f"version {current}, the {alias}" if current else f"its baseline, as there is no {alias} yet"
        print(f"version {number} against {against}, on the test examples in {gate.TEST}\n")
        verdict = gate.evaluate_gate(
            client, params, version, champion, promoted_on(changes, current), allow_sample, predict
        )
        print_verdict(verdict)
        if verdict.failed and not force:
            stays = f"version {current} stays the {alias}" if current else f"there is no {alias} yet"
            print(f"\nrefused: version {number} is not promoted; {stays}")
            return False
        change = AliasChange(
            alias, len(changes) + 1, "promote", current, number,
            forced=bool(verdict.failed), reason=reason, metrics=verdict.metrics, failed=verdict.failed,
        )  # fmt: skip
        try:
            history.record_change(client, model, change)
        except Conflict:
            print(f"\nmeanwhile another version became the {alias}; evaluating the gate again\n")
            continue
        forced = f", although the gate failed: {reason}" if verdict.failed else ""
        print(f"\nversion {number} is now the {alias}{forced}")
        return True


def promoted_on(changes: list[AliasChange], version: str | None) -> str | None:
    """The md5 of the test split on which the version was last promoted; None if that is not recorded."""
    changes = [change for change in changes if change.after == version and "test_md5" in change.metrics]
    return changes[-1].metrics["test_md5"] if changes else None


def cached_predictions(client: MlflowClient) -> gate.PredictTestSet:
    """`gate.predict_test_set`, which predicts once per version however often the gate is evaluated."""
    cache: dict[str, gate.Predictions] = {}

    def predict(version: ModelVersion) -> gate.Predictions:
        number = str(version.version)
        if number not in cache:
            cache[number] = gate.predict_test_set(client, version)
        return cache[number]

    return predict


def print_verdict(verdict: Verdict) -> None:
    width = max(len(criterion.name) for criterion in verdict.criteria)
    for criterion in verdict.criteria:
        head = f"  {'pass' if criterion.passed else 'FAIL'}  {criterion.name:{width}}  "
        print(textwrap.fill(head + criterion.detail, LINE_WIDTH, subsequent_indent=" " * len(head)))


def rollback(client: MlflowClient, params: Registry, alias: str, reason: str | None) -> bool:
    """Set the alias to the version that had it before; returns whether it could. Raises UserError and StoreError."""
    changes, current = history.alias_state(client, params.model, alias)
    existing = {str(version.version): version for version in versions.all_versions(client, params.model)}
    candidates = history.previous_versions(changes, current)
    for number in candidates:
        if number not in existing:
            print(f"version {number} had the {alias} before, but is deleted")
    previous = next((number for number in candidates if number in existing), None)
    if not previous:
        raise UserError(f"no other version that still exists was the {alias}; there is nothing to roll back to")
    try:
        gate.predict_test_set(client, existing[previous], only_input_example=True)
    except gate.ModelLoadError as error:
        raise UserError(f"version {previous} was the {alias} before, but does not load ({error})") from None
    change = AliasChange(alias, len(changes) + 1, "rollback", current, previous, reason=reason)
    try:
        history.record_change(client, params.model, change)
    except Conflict:
        print(f"refused: meanwhile another version became the {alias}; see `history`")
        return False
    print(f"version {previous} is the {alias} again{f', instead of version {current}' if current else ''}")
    return True
