"""The model card: what it says about a model, its data, its metrics and its limits."""

import html
import re
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from pipeline.report import card

PARAMS = {
    "train.cell": "gru", "train.units": "64", "train.bidirectional": "True", "train.ensemble_with_baseline": "True",
    "train.seed": "7", "vectorize.tokenizer": "code", "vectorize.max_length": "300",
}  # fmt: skip
COMMIT = {"git.commit": "c0ffee" * 6, "git.dirty": "false"}
LABELS = ["fruit", "pythön"]
SLICES = [
    {"by": "code", "slice": "with code", "examples": 1190, "accuracy": 0.91255, "interval": [0.9, 0.93],
     "baseline_accuracy": 0.5},
    {"by": "truncation", "slice": "read to the end", "examples": 10, "accuracy": 1.0, "interval": [0.72246, 1.0],
     "baseline_accuracy": 0.4},
]  # fmt: skip
HOSTILE = [
    "<script>alert(1)</script>",
    "[x](javascript:alert(1))",
    "![x](http://example.com/x.png)",
    "a|b",
    "||",
    "__init__",
    "*bold* and ~~struck~~",
    "`code`",
    "\\[ \\| &lt; &amp;",
    "two\n\n# lines",
]


def make_metrics(labels: Sequence[str] = LABELS) -> dict[str, Any]:
    """A `metrics.json`; the last label has the lowest F1."""
    return {
        "examples": 1200,
        "classifier": {"accuracy": 0.91234, "macro_f1": 0.90001, "log_loss": 0.25, "ece": 0.01234},
        "network": {"accuracy": 0.75, "macro_f1": 0.7, "log_loss": 0.5, "ece": 0.02},
        "baseline": {"accuracy": 0.5, "macro_f1": 0.4, "log_loss": 1.25, "ece": 0.03},
        "uncalibrated": {"log_loss": 0.3, "ece": 0.05678},
        "temperature": 1.25,
        "confidence_intervals": {
            "classifier": {"accuracy": [0.89, 0.93], "macro_f1": [0.87654, 0.92]},
            "network": {"accuracy": [0.72, 0.78], "macro_f1": [0.67, 0.73]},
            "baseline": {"accuracy": [0.47, 0.53], "macro_f1": [0.37, 0.43]},
        },
        "per_class": [
            {"label": label, "precision": 0.6666, "recall": 0.75, "f1": round(0.9 - n / 10_000, 6), "support": 1234 + n}
            for n, label in enumerate(labels)
        ],
        "slices": SLICES,
    }


def render(
    labels: Sequence[str] = LABELS,
    params: Mapping[str, str] = PARAMS,
    commit: Mapping[str, str] = COMMIT,
    metrics: Mapping[str, Any] | None = None,
    version: str | None = None,
    model_name: str = "answers",
    **corpus: Any,
) -> str:
    """The card of a classifier with these labels; `corpus` are changes of the corpus."""
    split = {
        "corpus": {
            "source": "some corpus", "sample": False, "digest": "0123456789abcdef" * 4, "licence": "CC BY 4.0"
        } | corpus,
        "test": "drawn, stratified",
        "examples": {"train": 7000, "validation": 1000, "test": 1200},
        "label_counts": {role: dict.fromkeys(labels, 3) for role in ("train", "validation", "test")},
        "duplicates_dropped": {"duplicate_of_test": 1000, "near_duplicate_of_test": 234},
        "rejected": {"no_text": 3, "broken_quotes": 1},
    }  # fmt: skip
    return card.render_card(model_name, params, commit, split, metrics or make_metrics(labels), version)


def read_table(text: str, head: str) -> list[list[str]]:
    """The cells of the table whose first column is `head`, without that row and the dashes below it."""
    (table,) = (part for part in text.split("\n\n") if part.startswith(f"| {head} |"))
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    assert {len(row) for row in rows} == {len(rows[0])}
    assert set(rows[1]) == {"---"}
    return rows[2:]


def unescape(markdown: str) -> str:
    """What a renderer shows of escaped text."""
    return html.unescape(re.sub(r"\\_", "_", markdown))


# Contents


def test_card_has_model_labels_and_data() -> None:
    text = render()

    assert text.startswith("# answers\n")
    assert "Classifies a text as one of 2 labels: fruit, pythön.\n" in text
    assert "Texts like those of some corpus." in text
    assert "Corpus: some corpus, digest `0123456789ab`, licence: CC BY 4.0." in text
    assert "7,000 training, 1,000 validation and 1,200 test examples (test split drawn, stratified); 1,234 dup" in text


def test_sections_are_in_order() -> None:
    assert re.findall("^## (.+)$", render(), re.MULTILINE) == [
        "Intended use", "Data", "Training", "Metrics", "Limits", "Reproduction", "Per-class metrics", "Slices"
    ]  # fmt: skip


def test_card_has_the_metrics_of_all_models_with_their_intervals() -> None:
    text = render()

    assert "On 1,200 held-out test examples, with 95% bootstrap confidence intervals:\n" in text
    assert read_table(text, "") == [
        ["classifier", "0.9123 (0.8900 to 0.9300)", "0.9000 (0.8765 to 0.9200)", "0.2500"],
        ["network alone", "0.7500 (0.7200 to 0.7800)", "0.7000 (0.6700 to 0.7300)", "0.5000"],
        ["baseline", "0.5000 (0.4700 to 0.5300)", "0.4000 (0.3700 to 0.4300)", "1.2500"],
    ]


def test_classifier_without_ensemble_has_no_row_of_its_network() -> None:
    metrics = {name: value for name, value in make_metrics().items() if name != "network"}

    text = render(params=PARAMS | {"train.ensemble_with_baseline": "False"}, metrics=metrics)

    assert [row[0] for row in read_table(text, "")] == ["classifier", "baseline"]
    assert "ensemble" not in text


def test_card_has_the_metrics_of_each_class_and_slice() -> None:
    text = render()

    assert read_table(text, "label") == [
        ["fruit", "0.667", "0.750", "0.900", "1,234"],
        ["pythön", "0.667", "0.750", "0.900", "1,235"],
    ]
    assert read_table(text, "slice") == [
        ["code: with code", "0.913", "0.900 to 0.930", "0.500", "1,190"],
        ["truncation: read to the end", "1.000", "0.722 to 1.000", "0.400", "10"],
    ]


@pytest.mark.parametrize(("before", "is_worse"), [(0.05678, False), (0.01234, False), (0.01233, True)])
def test_card_has_the_calibration_error_before_and_after_scaling_and_says_if_it_is_larger(
    before: float, is_worse: bool
) -> None:
    text = render(metrics=make_metrics() | {"uncalibrated": {"log_loss": 0.3, "ece": before}})

    assert f"Expected calibration error 0.0123; {before:.4f} before scaling by 1.25." in text
    assert ("Temperature scaling made it larger." in text) == is_worse


@pytest.mark.parametrize(
    ("params", "part"),
    [
        (
            {},
            "GRU with 64 units in each direction on tokens (`code`, the first 300 of a text), in an ensemble with the",
        ),
        ({"train.cell": "lstm", "train.bidirectional": "False"}, "LSTM with 64 units on tokens (`code`, the first 300"),
        ({"train.ensemble_with_baseline": "False", "train.seed": "8"}, "the first 300 of a text). Seed 8.\n"),
        ({"vectorize.max_length": "5"}, "- The network reads the first 5 tokens of a text.\n"),
    ],
)
def test_card_says_how_the_model_was_trained(params: dict[str, str], part: str) -> None:
    assert part in render(params=PARAMS | params)


@pytest.mark.parametrize("is_sample", [True, False])
def test_card_warns_about_metrics_of_the_sample(is_sample: bool) -> None:
    warning = "- **The sample corpus is generated: its metrics say nothing about real texts.**\n- "

    assert (warning in render(sample=is_sample)) == is_sample


@pytest.mark.parametrize(
    ("commit", "part"),
    [
        (COMMIT, f"Commit `{COMMIT['git.commit']}`. "),
        (
            COMMIT | {"git.dirty": "true"},
            f"`{COMMIT['git.commit']}` with the changes in the run's `provenance/uncommit",
        ),
        ({}, "Commit `unknown`. "),
    ],
)
def test_card_names_the_commit_and_the_patch_if_there_were_changes(commit: dict[str, str], part: str) -> None:
    text = render(commit=commit)

    assert part in text
    assert ("uncommitted.patch" in text) == (commit.get("git.dirty") == "true")


def test_card_of_a_version_names_it_in_the_command_that_reproduces_it() -> None:
    registered, not_registered = render(version="3"), render()

    assert "`python -m pipeline.registry reproduce 3` reproduces it.\n" in registered
    assert "Once registered, `python -m pipeline.registry reproduce VERSION` reproduces it.\n" in not_registered


# Length


@pytest.mark.parametrize("n_labels", [60, 200, 2000])
def test_card_of_many_labels_is_no_longer_than_mlflow_keeps(n_labels: int) -> None:
    text = render([f"label {n} of many" for n in range(n_labels)])

    assert len(text) <= card.MAX_LENGTH == 5000
    assert "## Per-class metrics: the 20 lowest F1\n" in text
    assert [row[0] for row in read_table(text, "label")] == [f"label {n_labels - n} of many" for n in range(1, 21)]
    assert len(read_table(text, "slice")) == 2
    assert "## Reproduction" in text
    assert text.startswith(f"# answers\n\nClassifies a text as one of {n_labels} labels: label 0 of many, ")
    assert " … " not in text.partition("## Intended use")[2]


def test_up_to_twenty_labels_have_their_rows_in_order() -> None:
    text = render([f"label {n}" for n in range(20)])

    assert [row[0] for row in read_table(text, "label")] == [f"label {n}" for n in range(20)]
    assert "lowest" not in text


def test_card_that_fits_is_not_cut() -> None:
    assert "…" not in render([f"label {n}" for n in range(20)])


def test_card_that_does_not_fit_is_cut_at_its_end() -> None:
    labels = [f"label {n} of {'very ' * 20}many" for n in range(20)]

    text = render(labels, metrics=make_metrics(labels) | {"slices": SLICES * 20})

    assert len(text) == card.MAX_LENGTH
    assert text.endswith("…\n")
    assert text.startswith("# answers\n\nClassifies a text as one of 20 labels: label 0 of very ")
    assert "## Reproduction" in text


# Data is text


def test_labels_are_no_markup_whatever_they_contain() -> None:
    text = render(HOSTILE)

    plain = [" ".join(label.split()) for label in HOSTILE]
    assert [unescape(row[0]) for row in read_table(text, "label")] == plain
    listed = re.findall("labels: (.*)[.]\n", text)
    assert [unescape(each) for each in listed] == [", ".join(plain)]
    # Apart from the card's own table rules and code spans, the escaped text has no special character left.
    cells = [row[0] for row in read_table(text, "label")]
    for escaped in (*cells, *listed):
        assert not re.search(r"[<>\[\]*`~|]|(?<!\\)_|&(?!#\d+;)|\\(?!_)", escaped)


@pytest.mark.parametrize("name", ["source", "licence"])
def test_corpus_is_no_markup_whatever_it_contains(name: str) -> None:
    for value in HOSTILE:
        corpus: dict[str, Any] = {name: value}
        text = render(**corpus)

        data = text.partition("## Data\n\n")[2].partition("\n")[0]
        assert " ".join(value.split()) in unescape(data)
        assert not re.search(r"[<>\[\]*~|]|(?<!\\)_|&(?!#\d+;)|\\(?!_)", data)
        assert re.findall("^#.*$", text, re.MULTILINE) == re.findall("^#.*$", render(), re.MULTILINE)


@pytest.mark.parametrize("source", ["# heading", "1. item", "- item", "+ item", "> quote", "=== rule", "    code"])
def test_corpus_begins_no_line_as_it_may_begin_like_a_block(source: str) -> None:
    def beginnings(text: str) -> list[str]:
        return [line[:2] for line in text.splitlines()]

    assert beginnings(render(source=source)) == beginnings(render())


def test_model_name_and_slices_are_no_markup() -> None:
    text = render(model_name="a_<b>", metrics=make_metrics() | {"slices": [SLICES[0] | {"slice": "a|<b>"}]})

    assert text.startswith("# a\\_&#60;b&#62;\n")
    assert [unescape(row[0]) for row in read_table(text, "slice")] == ["code: a|<b>"]


def test_rows_that_could_not_be_used_are_counted_with_their_reason() -> None:
    assert "4 rows of the source could not be used (no text: 3, broken quotes: 1)." in render()
