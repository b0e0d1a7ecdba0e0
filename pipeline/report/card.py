"""The model card of a run (Mitchell et al. 2019): what the model is for, its data, its figures and its limits."""

from collections.abc import Mapping, Sequence
from typing import Any

from sklearn.metrics import precision_recall_fscore_support

NAMES = {"classifier": "the classifier", "network": "its recurrent network alone", "baseline": "the linear baseline"}
LONGEST = 5000  # characters that MLflow keeps of a description
LABELS = 20  # that have a row of their own


def write(
    model: str,
    params: Mapping[str, str],
    tags: Mapping[str, str],
    split: Mapping[str, Any],
    figures: Mapping[str, Any],
    predictions: Sequence[Mapping[str, str]],
) -> str:
    """Markdown, of a run's parameters and tags, its `split.json` and `metrics.json`, and its predictions by post."""
    corpus, posts = split["corpus"], split["posts"]
    labels = list(split["labels"]["train"])
    commit = tags.get("git.commit", "unknown")
    dirty = " and the changes in the run's `lineage/uncommitted.patch`" if tags.get("git.dirty") == "true" else ""
    network = f"{params['train.cell'].upper()} of {params['train.units']} units"
    if params["train.bidirectional"] == "True":
        network += " in each direction"
    wide = ", its answer averaged with a linear model's" if params["train.wide"] == "True" else ""
    lines = [
        f"# {model}",
        f"Which of {len(labels)} labels a text has: {', '.join(labels[:LABELS])}"
        f"{' …' if len(labels) > LABELS else ''}.",
        "## Intended use",
        f"Texts like those it has learned from: posts of {corpus['source']}. It always gives one of its labels, also "
        "to a text that has none of them; its probabilities tell how sure it is.",
        "## Data",
        f"{corpus['source']}, digest `{corpus['digest'][:12]}`, licence: {corpus['licence']}. {posts['train']:,} posts "
        f"to learn from, {posts['validation']:,} to choose by, {posts['test']:,} to test on ({split['test']}); "
        f"{sum(split['duplicates_dropped'].values()):,} duplicates and near copies were dropped.",
        "## Training",
        f"{network} on tokens (`{params['vectorize.tokenizer']}`, the first {params['vectorize.max_tokens']} of a "
        f"text){wide}. Seed {params['train.seed']}.",
        "## Figures",
        f"On the {figures['posts']:,} test posts, which nothing was chosen by:",
        table(["", "accuracy", "macro F1", "log loss"], [
            [name, *(f"{figures[which][figure]:.4f}" for figure in ("accuracy", "macro_f1", "log_loss"))]
            for which, name in NAMES.items() if which in figures
        ]),
        *([f"The {LABELS} labels with the lowest F1:"] if len(labels) > LABELS else []),
        table(["label", "precision", "recall", "F1", "posts"], by_label(labels, predictions)),
        "## Limits",
        *(["- **The corpus is a sample for trying out; these figures say nothing of real posts.**"] if corpus["sample"]
          else []),
        f"- The network reads the first {params['vectorize.max_tokens']} tokens of a text.",
        "- Texts of other sites, times or languages were not tested.",
        "## How to make it again",
        f"`python -m pipeline.registry reproduce`: from commit `{commit}`{dirty}.",
    ]  # fmt: skip
    text = "\n\n".join(lines) + "\n"
    return text if len(text) <= LONGEST else text[: LONGEST - 2] + "…\n"


def by_label(labels: list[str], predictions: Sequence[Mapping[str, str]]) -> list[list[str]]:
    """A row per label, in order; of more labels than `LABELS` those with the lowest F1, that one first."""
    actual, predicted = ([row[name] for row in predictions] for name in ("actual", "predicted"))
    # Not from scikit-learn's report, where a label named `accuracy` is lost among the averages.
    figures = precision_recall_fscore_support(actual, predicted, labels=labels, zero_division=0)
    rows = list(zip(labels, *figures, strict=True))
    if len(rows) > LABELS:
        rows = sorted(rows, key=lambda row: row[3])[:LABELS]
    return [[label, *(f"{figure:.3f}" for figure in of_label), f"{count:,}"] for label, *of_label, count in rows]


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines)
