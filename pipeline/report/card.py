"""The model card of a run (Mitchell et al. 2019): what the model is for, its data, its figures and its limits."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

NAMES = {"classifier": "the classifier", "network": "its recurrent network alone", "baseline": "the linear baseline"}
LONGEST = 5000  # characters that MLflow keeps of a description
LABELS = 20  # that have a row of their own
LABEL = 60  # characters of a label's name


def render_card(
    model: str,
    params: Mapping[str, str],
    tags: Mapping[str, str],
    split: Mapping[str, Any],
    figures: Mapping[str, Any],
) -> str:
    """Markdown, of a run's parameters and its tags, its `split.json` and its `metrics.json`."""
    corpus, posts = split["corpus"], split["posts"]
    labels = [label[:LABEL] for label in split["labels"]["train"]]
    commit = tags.get("git.commit", "unknown")
    dirty = " and the changes in the run's `lineage/uncommitted.patch`" if tags.get("git.dirty") == "true" else ""
    network = f"{params['train.cell'].upper()} of {params['train.units']} units"
    if params["train.bidirectional"] == "True":
        network += " in each direction"
    wide = ", its answer averaged with a linear model's" if params["train.ensemble_with_baseline"] == "True" else ""
    by_label = figures.get("labels", [])
    if len(by_label) > LABELS:
        by_label = sorted(by_label, key=lambda row: row["f1"])[:LABELS]
    lines = [
        f"# {model}",
        f"Which of {len(labels)} labels a text has: {', '.join(labels[:LABELS])}"
        f"{' …' if len(labels) > LABELS else ''}.",
        "## Intended use",
        f"Texts like those it has learned from: posts of {corpus['source']}. It always gives one of its labels, also "
        "to a text that has none of them; its probabilities tell how sure it is. It is not for judging people by what "
        "they write, nor where a wrong label does harm that nobody looks for.",
        "## Data",
        f"{corpus['source']}, digest `{corpus['digest'][:12]}`, licence: {corpus['licence']}. {posts['train']:,} posts "
        f"to learn from, {posts['validation']:,} to choose by, {posts['test']:,} to test on ({split['test']}); "
        f"{sum(split['duplicates_dropped'].values()):,} duplicates and near copies were dropped.",
        "## Training",
        f"{network} on tokens (`{params['vectorize.tokenizer']}`, the first {params['vectorize.max_length']} of a "
        f"text){wide}. Seed {params['train.seed']}.",
        "## Figures",
        f"On the {figures['posts']:,} test posts, which nothing was chosen by"
        f"{', with 95% intervals' if 'intervals' in figures else ''}:",
        headline(figures),
        calibrated(figures),
        "## Limits",
        *(["- **The corpus is a sample for trying out; these figures say nothing of real posts.**"] if corpus["sample"]
          else []),
        f"- The network reads the first {params['vectorize.max_length']} tokens of a text.",
        "- Texts of other sites, times or languages were not tested.",
        "## How to make it again",
        f"`python -m pipeline.registry reproduce`: from commit `{commit}`{dirty}.",
        # Last, as a long card loses its end.
        *(["## Figures by label"] if by_label else []),
        *([f"The {LABELS} with the lowest F1:"] if len(by_label) < len(figures.get("labels", [])) else []),
        table(["label", "precision", "recall", "F1", "posts"], (
            [row["label"][:LABEL], *(f"{row[name]:.3f}" for name in ("precision", "recall", "f1")), f"{row['posts']:,}"]
            for row in by_label
        )),
        *(["## Figures by slice"] if "slices" in figures else []),
        table(["slice", "accuracy", "95% interval", "baseline", "posts"], (
            [f"{row['by']}: {row['slice']}", f"{row['accuracy']:.3f}", between(row["interval"], 3),
             f"{row['baseline_accuracy']:.3f}", f"{row['posts']:,}"]
            for row in figures.get("slices", [])
        )),
    ]  # fmt: skip
    text = "\n\n".join(line for line in lines if line) + "\n"
    return text if len(text) <= LONGEST else text[: LONGEST - 2] + "…\n"


def headline(figures: Mapping[str, Any]) -> str:
    """A row per model, with the intervals where there are any."""
    rows = []
    for model, name in NAMES.items():
        if model in figures:
            intervals = figures.get("intervals", {}).get(model, {})
            rows.append(
                [name]
                + [
                    f"{figures[model][figure]:.4f}"
                    + (f" ({between(intervals[figure])})" if figure in intervals else "")
                    for figure in ("accuracy", "macro_f1", "log_loss")
                ]
            )
    return table(["", "accuracy", "macro F1", "log loss"], rows)


def calibrated(figures: Mapping[str, Any]) -> str:
    if "temperature" not in figures:
        return ""
    return (
        f"Its probabilities are off by {figures['classifier']['ece']:.4f} (expected calibration error); before they "
        f"were scaled by the temperature {figures['temperature']:g}, by {figures['before_scaling']['ece']:.4f}."
    )


def between(interval: Sequence[float], digits: int = 4) -> str:
    return f"{interval[0]:.{digits}f} to {interval[1]:.{digits}f}"


def table(head: list[str], rows: Iterable[list[str]]) -> str:
    """A table; empty where it would have no row."""
    lines = [head, ["---"] * len(head), *rows]
    if len(lines) == 2:
        return ""
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines)
