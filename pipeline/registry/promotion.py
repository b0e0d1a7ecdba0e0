"""Moving an alias: to a version that passes the gate, or back to the one before."""

import textwrap

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from pipeline.cli import UserError
from pipeline.params.registry import Registry
from pipeline.registry import gate, history, versions
from pipeline.registry.gate import Verdict
from pipeline.registry.history import AliasChange, Conflict

WIDTH = 110  # of a printed line
LONGEST_REASON = 1000  # characters; MLflow keeps 6,000 of a whole move


def promote(
    client: MlflowClient,
    section: Registry,
    version: ModelVersion,
    alias: str,
    allow_sample: bool,
    force: bool,
    reason: str | None,
) -> bool:
    """Move the alias to the version if the gate lets it pass, or by force; gives whether it has it.

    Who loses a race against another promotion is judged against its winner. Raises Stop and StoreError.
    """
    model, number = section.model, str(version.version)
    if reason and len(reason) > LONGEST_REASON:
        raise UserError(f"the reason is longer than {LONGEST_REASON:,} characters; make it shorter")
    ask = cached_predictions()
    while True:
        made, before = history.alias_state(client, model, alias)
        if before == number:
            print(f"version {number} is the {alias} already")
            return True
        champion = versions.find_version(client, model, before) if before else None
        against = f"version {before}, the {alias}" if before else f"its baseline, as there is no {alias} yet"
        print(f"version {number} against {against}, on the test posts in {gate.TEST}\n")
        told = [move.figures for move in made if move.after == before and "posts_md5" in move.figures]
        judged_on = told[-1]["posts_md5"] if told else None
        verdict = gate.evaluate_gate(client, section, version, champion, judged_on, allow_sample, ask)
        print_verdict(verdict)
        if verdict.failed and not force:
            stays = f"version {before} stays the {alias}" if before else f"there is no {alias} yet"
            print(f"\nrefused: version {number} is not promoted; {stays}")
            return False
        move = AliasChange(
            alias, len(made) + 1, "promote", before, number,
            forced=bool(verdict.failed), reason=reason, figures=verdict.figures, failed=verdict.failed,
        )  # fmt: skip
        try:
            history.record_change(client, model, move)
        except Conflict:
            print(f"\nmeanwhile another version became the {alias}; looking again\n")
            continue
        print(f"\nversion {number} is the {alias} now{f', against the verdict: {reason}' if verdict.failed else ''}")
        return True


def cached_predictions() -> gate.Ask:
    """Asks a version once, however often it is judged."""
    answers: dict[str, gate.Predictions] = {}

    def ask(version: ModelVersion) -> gate.Predictions:
        number = str(version.version)
        if number not in answers:
            answers[number] = gate.predict_test_set(version)
        return answers[number]

    return ask


def print_verdict(verdict: Verdict) -> None:
    for criterion in verdict.criteria:
        head = f"  {'pass' if criterion.passed else 'FAIL'}  {criterion.name:18}  "
        print(textwrap.fill(head + criterion.said, WIDTH, subsequent_indent=" " * len(head)))


def rollback(client: MlflowClient, section: Registry, alias: str, reason: str | None) -> bool:
    """Give the alias back to the version that had it before; gives whether it could. Raises Stop and StoreError."""
    made, now = history.alias_state(client, section.model, alias)
    there = {str(version.version): version for version in versions.all_versions(client, section.model)}
    candidates = history.previous_versions(made, now)
    for deleted in [number for number in candidates if number not in there]:
        print(f"version {deleted} had it before, and is deleted")
    before = next((number for number in candidates if number in there), None)
    if not before:
        raise UserError(f"no version that is still there was the {alias} before; nothing to go back to")
    try:
        gate.predict_test_set(there[before], test=False)
    except gate.ModelLoadError as error:
        raise UserError(f"version {before} was the {alias} before, but cannot be asked ({error})") from None
    try:
        history.record_change(
            client, section.model, AliasChange(alias, len(made) + 1, "rollback", now, before, reason=reason)
        )
    except Conflict:
        print(f"refused: meanwhile another version became the {alias}; see `history`")
        return False
    print(f"version {before} is the {alias} again{f', after version {now}' if now else ''}")
    return True
