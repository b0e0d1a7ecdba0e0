"""The model card of a run (Mitchell et al. 2019): what the model is for, its data, its figures and its limits."""

from collections.abc import Mapping
from typing import Any

NEEDS = ["split.json", "metrics.json", "classifier/classification_report.json"]
NAMES = {"classifier": "the classifier", "network": "its recurrent network alone", "baseline": "the linear baseline"}
LONGEST = 5000  # characters that MLflow keeps of a description


def write(model: str, params: Mapping[str, str], tags: Mapping[str, str], reports: Mapping[str, Any]) -> str:
    """Markdown, of a run's parameters and tags, and of the reports that `NEEDS` names."""
    split, figures, by_label = (reports[name] for name in NEEDS)
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
        f"Which of {len(labels)} labels a text has: {', '.join(labels)}.",
        "## Intended use",
        f"Texts like those it has learned from: posts of {corpus['source']}. It always gives one of its labels, also "
        "to a text that has none of them; its probabilities tell how sure it is.",
        "## Data",
        f"{corpus['source']}, digest `{corpus['digest'][:12]}`, licence: {corpus['licence']}. {posts['train']:,} posts "
        f"to learn from, {posts['validation']:,} to choose by, {posts['test']:,} to test on ({split['test']}); "
        f"{sum(split['duplicates_dropped'].values()):,} duplicates and near copies were dropped.",
        "## Training",
        f"A {network} on tokens (`{params['vectorize.tokenizer']}`, the first {params['vectorize.max_tokens']} of a "
        f"text){wide}. Seed {params['train.seed']}.",
        "## Figures",
        f"On the {figures['posts']:,} test posts, which nothing was chosen by:",
        table(["", "accuracy", "macro F1", "log loss"], [
            [name, *(f"{figures[which][figure]:.4f}" for figure in ("accuracy", "macro_f1", "log_loss"))]
            for which, name in NAMES.items() if which in figures
        ]),
        table(["label", "precision", "recall", "F1", "posts"], [
            [label, *(f"{by_label[label][figure]:.3f}" for figure in ("precision", "recall", "f1-score")),
             f"{by_label[label]['support']:,.0f}"] for label in labels
        ]),
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


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines)
