"""The page of a result, with where it comes from and how it stands to the champion, and its model card."""

from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Run

from pipeline.cli import UserError
from pipeline.params import Params
from pipeline.registry import versions
from pipeline.report import card, page
from pipeline.report.page import REPORTS
from pipeline.tracking import artifacts, compare, provenance, runs
from pipeline.tracking.store import StoreError

PAGE, CARD = REPORTS / "report.html", REPORTS / "model_card.md"
FIGURES = ("accuracy", "macro_f1", "log_loss", "ece")


def write_pages(params: Params, client: MlflowClient | None = None, run: Run | None = None) -> None:
    """Write both into `reports/`, from what lies there; without a run, as when the store is away, by what git says.

    Raises StoreError.
    """
    split, figures = (page.read_report(name) for name in ("split", "metrics"))
    parameters = list(runs.flatten(params.model_dump(exclude={"registry"})))
    if client and run:
        tags = versions.commit_tags(run.data.tags)
        lineage = [("run", f"{run.info.run_name} ({run.info.run_id})"), *artifacts.describe_inputs(client, run)]
        try:
            champion, standing = against_champion(client, params.registry.model, run)
        except (UserError, StoreError) as error:  # what is wrong with another result must not cost this one its run
            champion, standing = None, f"The champion cannot be had ({error})."
    else:
        tags = versions.commit_tags(provenance.git_tags())
        lineage = [
            (
                "commit",
                tags.get("git.commit", "none") + (" and changes" if tags.get(provenance.DIRTY) == "true" else ""),
            ),
            ("corpus", f"{split['corpus']['source']}, digest {split['corpus']['digest']}"),
        ]
        champion, standing = None, "Who the champion is was not to be learned: MLflow was out of reach."
    lineage.append(("licence of the posts", split["corpus"]["licence"]))
    page.write_page(PAGE, lineage, parameters, champion, standing)
    CARD.write_text(card.render_card(params.registry.model, dict(parameters), tags, split, figures), encoding="utf-8")


def against_champion(client: MlflowClient, model: str, run: Run) -> tuple[dict[str, Any] | None, str]:
    """The champion's name and figures, if it is another, and how the run's result compares. Raises StoreError."""
    number = versions.read_aliases(client, model).get(versions.CHAMPION)
    if not number:
        return None, "No version is the champion yet."
    version = versions.find_version(client, model, number)
    if version.run_id == run.info.run_id:
        return None, f"It is the champion: version {number}."
    other = versions.run_of_version(client, version)
    figures = {name: other.data.metrics[f"test_{name}"] for name in FIGURES if f"test_{name}" in other.data.metrics}
    theirs = artifacts.read_csv(client, other, compare.PREDICTIONS)
    paired = compare.paired_test(theirs, page.predictions())
    if isinstance(paired, str):
        sentence = f"The champion is version {number}. {paired}"
    else:
        low, high = paired["macro_f1"]
        sentence = (
            f"Against the champion, version {number}: macro F1 {low:+.4f} to {high:+.4f} (95% interval of the "
            f"difference); {paired['only_b_right']:,} posts only this one gets right, {paired['only_a_right']:,} only "
            f"the champion (McNemar's p = {paired['p']:.2g})."
        )
    return {"name": f"the champion, version {number}", "figures": figures}, sentence
