"""The model card of a run (Mitchell et al. 2019): intended use, data, metrics and limits of a model."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pipeline.metrics import MODELS
from pipeline.report.summary import MODEL_NAMES, describe_weights

MAX_LENGTH = 5000  # characters, as MLflow keeps of a description
MAX_LABELS = 20  # with a row of their own
MAX_LABEL_LENGTH = 60  # characters
SPECIAL = re.compile(r"[\\`*_\[\]<>|~&]")  # of Markdown and HTML, within a line


def render_card(
    model_name: str,
    params: Mapping[str, str],
    commit: Mapping[str, str],
    split: Mapping[str, Any],
    metrics: Mapping[str, Any],
    version: str | None = None,
) -> str:
    """The card as Markdown, from a run's parameters, its `split.json` and its `metrics.json`.

    `commit` may have `git.commit` and `git.dirty`; `version` is the number of the registered version, if there is one.
    """
    corpus, sizes = split["corpus"], split["examples"]
    source = escape(corpus["source"])
    labels = [escape(label[:MAX_LABEL_LENGTH]) for label in split["label_counts"]["train"]]
    more = " …" if len(labels) > MAX_LABELS else ""
    lines = [
        f"# {escape(model_name)}",
        f"Classifies a text as one of {len(labels)} labels: {', '.join(labels[:MAX_LABELS])}{more}.",
        "## Intended use",
        f"Texts like those of {source}. The classifier always returns one of its labels, also for a text that has none "
        "of them; the probabilities tell how confident it is. It is not for judging people by what they write, nor for "
        "uses in which a wrong label does harm that nobody checks.",
        "## Data",
        f"Corpus: {source}, digest `{corpus['digest'][:12]}`, licence: {escape(corpus['licence'])}. {sizes['train']:,} "
        f"training, {sizes['validation']:,} validation and {sizes['test']:,} test examples (test split "
        f"{split['test']}); {sum(split['duplicates_dropped'].values()):,} duplicates and near-duplicates were dropped."
        + describe_rejects(split.get("rejected", {})),
        "## Training",
        describe_training(params),
        "## Metrics",
        f"On {metrics['examples']:,} held-out test examples, with 95% bootstrap confidence intervals:",
        metrics_table(metrics),
        describe_weights(metrics) + describe_calibration(metrics),
        "## Limits",
        describe_limits(params, corpus["sample"]),
        "## Reproduction",
        describe_reproduction(commit, version),
        # Tables last, because the end of a long card is cut off.
        *per_class_lines(metrics["per_class"]),
        *slice_lines(metrics["slices"]),
    ]
    text = "\n\n".join(line for line in lines if line) + "\n"
    return text if len(text) <= MAX_LENGTH else text[: MAX_LENGTH - 2] + "…\n"


def escape(text: str) -> str:
    """The text on one line, with the special characters of Markdown and HTML escaped.

    Underscores are escaped by a backslash, which is easier to read; the others as HTML entities, since renderers of
    Markdown differ in which characters a backslash escapes.
    """

    def escaped(match: re.Match[str]) -> str:
        return r"\_" if match[0] == "_" else f"&#{ord(match[0])};"

    return SPECIAL.sub(escaped, " ".join(text.split()))


def describe_rejects(rejected: Mapping[str, int]) -> str:
    if not rejected:
        return ""
    reasons = ", ".join(f"{reason.replace('_', ' ')}: {count:,}" for reason, count in rejected.items())
    return f" {sum(rejected.values()):,} rows of the source could not be used ({reasons})."


def describe_training(params: Mapping[str, str]) -> str:
    network = f"{params['train.cell'].upper()} with {params['train.units']} units"
    if params["train.bidirectional"] == "True":
        network += " in each direction"
    ensemble = ", in an ensemble with the linear baseline" if params["train.ensemble_with_baseline"] == "True" else ""
    return (
        f"{network} on tokens (`{params['vectorize.tokenizer']}`, the first {params['vectorize.max_length']} of a "
        f"text){ensemble}. Seed {params['train.seed']}."
    )


def metrics_table(metrics: Mapping[str, Any]) -> str:
    """A row per model with its metrics and their intervals."""
    rows = []
    for model in MODELS:
        if model not in metrics:
            continue
        intervals = metrics["confidence_intervals"][model]
        cells = [
            f"{metrics[model][name]:.4f}" + (f" ({format_interval(intervals[name])})" if name in intervals else "")
            for name in ("accuracy", "macro_f1", "log_loss")
        ]
        rows.append([MODEL_NAMES[model], *cells])
    return markdown_table(["", "accuracy", "macro F1", "log loss"], rows)


def describe_calibration(metrics: Mapping[str, Any]) -> str:
    before, after = metrics["uncalibrated"]["ece"], metrics["classifier"]["ece"]
    text = f"Expected calibration error {after:.4f}; {before:.4f} before scaling by {metrics['temperature']:g}."
    return f"{text} Temperature scaling made it larger." if after > before else text


def describe_limits(params: Mapping[str, str], is_sample: bool) -> str:
    limits = ["**The sample corpus is generated: its metrics say nothing about real texts.**"] if is_sample else []
    limits.append(f"The network reads the first {params['vectorize.max_length']} tokens of a text.")
    limits.append("It was not tested on texts of other sources, times or languages.")
    return "\n".join(f"- {limit}" for limit in limits)


def describe_reproduction(commit: Mapping[str, str], version: str | None) -> str:
    source = f"Commit `{commit.get('git.commit', 'unknown')}`"
    if commit.get("git.dirty") == "true":
        source += " with the changes in the run's `provenance/uncommitted.patch`"
    if not version:
        return f"{source}. Once registered, `python -m pipeline.registry reproduce VERSION` reproduces it."
    return f"{source}. `python -m pipeline.registry reproduce {version}` reproduces it."


def per_class_lines(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    lowest = rows if len(rows) <= MAX_LABELS else sorted(rows, key=lambda row: row["f1"])[:MAX_LABELS]
    title = "## Per-class metrics" if lowest is rows else f"## Per-class metrics: the {MAX_LABELS} lowest F1"
    cells = (
        [
            escape(row["label"][:MAX_LABEL_LENGTH]),
            *(f"{row[name]:.3f}" for name in ("precision", "recall", "f1")),
            f"{row['support']:,}",
        ]
        for row in lowest
    )
    return [title, markdown_table(["label", "precision", "recall", "F1", "support"], cells)]


def slice_lines(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    cells = (
        [
            escape(f"{row['by']}: {row['slice']}"), f"{row['accuracy']:.3f}", format_interval(row["interval"], 3),
            f"{row['baseline_accuracy']:.3f}", f"{row['examples']:,}",
        ]
        for row in rows
    )  # fmt: skip
    return ["## Slices", markdown_table(["slice", "accuracy", "95% interval", "baseline", "examples"], cells)]


def format_interval(interval: Sequence[float], digits: int = 4) -> str:
    return f"{interval[0]:.{digits}f} to {interval[1]:.{digits}f}"


def markdown_table(head: list[str], rows: Iterable[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(line)} |" for line in [head, ["---"] * len(head), *rows])
