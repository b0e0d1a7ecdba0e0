"""Stage 9, track: one MLflow run for this result, and its report page and model card.

    python -m pipeline.track

Runs at every `dvc repro`, also if every other stage comes from DVC's cache. It completes the run that the training
created, or creates it from the files alone. A result whose run is complete is left as it is; only its report page is
written again, because another model may have become the champion.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline import cli, params
from pipeline.cli import UserError
from pipeline.files import write_text
from pipeline.params import Params
from pipeline.tracking import last_track

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

METRICS = Path("reports/metrics.json")
PAGE, CARD = Path("reports/report.html"), Path("reports/model_card.md")


def main() -> None:
    is_stage = "DVC_STAGE" in os.environ
    if is_stage and (name := last_track.unchanged_run([PAGE, CARD])):
        print(f"track: this result has its run already: {name}")
        return
    config = params.load()
    is_evaluated = METRICS.exists()
    if not is_stage:
        stages = ["split", "vectorize", "baseline", "train", *(["evaluate", "explain", "plot"] if is_evaluated else [])]
        require_one_result(stages)
    from pipeline.tracking import store  # not at the top: it imports MLflow, which takes two seconds
    from pipeline.tracking.errors import StoreError

    try:
        with store.lock("runs"):
            print(f"track: {track(config, is_evaluated)}")
    except StoreError as error:
        message = f"{error.when_writing()}; the result is complete, and the next `dvc repro` logs it"
        if is_evaluated:
            write_reports(config)
        if not is_stage:
            raise UserError(message) from None
        # A warning: a stage that fails would cost an experiment in a temporary folder all of its results.
        print(f"warning: {message}")


def require_one_result(stages: Iterable[str]) -> None:
    """Raises UserError if parameters, code and files do not belong to one result; under DVC they always do."""
    command = [sys.executable, "-m", "dvc", "status", "--json", *stages]
    process = subprocess.run(command, capture_output=True, text=True)
    if process.returncode:
        reason = (process.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise UserError(f"DVC cannot compare the workspace with dvc.lock: {reason}")
    if changed := json.loads(process.stdout):
        raise UserError(f"parameters, code and files are not of one result ({', '.join(changed)} changed); `dvc repro`")


def track(config: Params, is_evaluated: bool) -> str:
    """Log the result, and return what was done. Raises StoreError."""
    from pipeline.report import card, page
    from pipeline.tracking import results

    write, summary = None, ""
    if is_evaluated:
        write, summary = partial(write_reports, config), card.metrics_table(page.read_report("metrics"))
    version = last_track.store_version()
    outcome = results.track_result(config, write, summary)
    if outcome.is_new:
        message = f"run {outcome.run_name} in experiment {config.track.experiment}"
        # Once more, now without anything to log, so that the reports are up to date with this version of the store.
        version = last_track.store_version()
        outcome = results.track_result(config, write, summary)
    else:
        message = f"this result has its run already: {outcome.run_name}"
    if is_evaluated and outcome.is_settled:
        last_track.record(outcome.run_name, version, [PAGE, CARD])
    return message


def write_reports(config: Params, client: MlflowClient | None = None, run: Run | None = None) -> list[Path]:
    """Write the report page and the model card; without a run, if MLflow is not available, from git and the reports.

    Raises StoreError.
    """
    from pipeline.registry import champion, versions
    from pipeline.report import card, page
    from pipeline.tracking import provenance, runs, show

    split, metrics = page.read_report("split"), page.read_report("metrics")
    parameters = list(runs.run_params(config))
    other = None
    if client and run:
        name, date, tags = str(run.info.run_name), run.info.start_time / 1000, run.data.tags
        facts = [("run", f"{name} ({run.info.run_id})"), *show.describe_provenance(client, run)]
        other, standing = champion.compare_with_champion(client, config.registry.model, run)
    else:
        name, date, tags = "no run", METRICS.stat().st_mtime, provenance.git_tags()
        corpus = split["corpus"]
        facts = [("commit", show.describe_commit(tags)), ("corpus", f"{corpus['source']}, digest {corpus['digest']}")]
        standing = "MLflow is not available, so the champion is unknown."
    facts.append(("licence", split["corpus"]["licence"]))
    day = f"{datetime.fromtimestamp(date, UTC):%Y-%m-%d}"
    page.write_page(PAGE, name, day, facts, parameters, page.Champion(**other) if other else None, standing)
    commit = versions.commit_tags(tags)
    text = card.render_card(config.registry.model, dict(parameters), commit, split, metrics)
    write_text(CARD, text)
    return [PAGE, CARD]


if __name__ == "__main__":
    cli.run(main)
