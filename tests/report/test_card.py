"""The model card: what it says of a model, its data, its figures and its limits."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from pipeline.report import card

PARAMS = {
    "train.cell": "gru", "train.units": "64", "train.bidirectional": "True", "train.ensemble_with_baseline": "True", "train.seed": "7",
    "vectorize.tokenizer": "code", "vectorize.max_length": "300",
}  # fmt: skip
TAGS = {"git.commit": "c0ffee" * 6, "git.dirty": "false"}
LABELS = ["fruit", "pythön"]
# What a `metrics.json` has held from the first.
OLD: dict[str, Any] = {
    "posts": 1200,
    "classifier": {"accuracy": 0.91234, "macro_f1": 0.90001, "log_loss": 0.25},
    "baseline": {"accuracy": 0.5, "macro_f1": 0.4, "log_loss": 1.25},
    "network": {"accuracy": 0.75, "macro_f1": 0.7, "log_loss": 0.5},
}
ECE = {"classifier": 0.01234, "network": 0.02, "baseline": 0.03}
SLICES = [
    {"by": "code", "slice": "with code", "posts": 1190, "accuracy": 0.91255, "interval": [0.9, 0.93],
     "baseline_accuracy": 0.5},
    {"by": "read by the network", "slice": "all of it", "posts": 10, "accuracy": 1.0, "interval": [0.72246, 1.0],
     "baseline_accuracy": 0.4},
]  # fmt: skip


def figures(labels: Sequence[str] = LABELS) -> dict[str, Any]:
    """A `metrics.json`; of the labels' F1 that of the last one is the lowest."""
    return OLD | {model: OLD[model] | {"ece": ece} for model, ece in ECE.items()} | {
        "before_scaling": {"log_loss": 0.3, "ece": 0.05678},
        "temperature": 1.25,
        "intervals": {
            "classifier": {"accuracy": [0.89, 0.93], "macro_f1": [0.87654, 0.92]},
            "network": {"accuracy": [0.72, 0.78], "macro_f1": [0.67, 0.73]},
            "baseline": {"accuracy": [0.47, 0.53], "macro_f1": [0.37, 0.43]},
        },
        "labels": [
            {"label": label, "precision": 0.6666, "recall": 0.75, "f1": round(0.9 - n / 10_000, 6), "posts": 1234 + n}
            for n, label in enumerate(labels)
        ],
        "slices": SLICES,
    }  # fmt: skip


def write(
    labels: Sequence[str] = LABELS,
    sample: bool = False,
    params: Mapping[str, str] = PARAMS,
    tags: Mapping[str, str] = TAGS,
    told: Mapping[str, Any] | None = None,
) -> str:
    """The card of a classifier of these labels."""
    split = {
        "corpus": {"source": "some posts", "sample": sample, "digest": "0123456789abcdef" * 4, "licence": "CC BY 4.0"},
        "test": "drawn, stratified",
        "posts": {"train": 7000, "validation": 1000, "test": 1200},
        "labels": {role: dict.fromkeys(labels, 3) for role in ("train", "validation", "test")},
        "duplicates_dropped": {"in_test_too": 1000, "nearly_in_test_too": 234},
    }
    return card.render_card("answers", params, tags, split, told or figures(labels))


def table(text: str, head: str) -> list[list[str]]:
    """The cells of the table whose first row begins with this one, without that row and the dashes below it."""
    (found,) = (part for part in text.split("\n\n") if part.startswith(f"| {head} |"))
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in found.splitlines()]
    assert {len(row) for row in rows} == {len(rows[0])}
    assert set(rows[1]) == {"---"}
    return rows[2:]


def test_it_names_the_model_its_labels_and_its_data() -> None:
    text = write()

    assert text.startswith("# answers\n")
    assert "Which of 2 labels a text has: fruit, pythön.\n" in text
    assert "posts of some posts." in text
    assert "some posts, digest `0123456789ab`, licence: CC BY 4.0." in text
    assert "7,000 posts to learn from, 1,000 to choose by, 1,200 to test on (drawn, stratified); 1,234 dup" in text


def test_it_holds_the_figures_of_all_three_models_with_their_intervals() -> None:
    text = write()

    assert "On the 1,200 test posts," in text
    assert table(text, "") == [
        ["the classifier", "0.9123 (0.8900 to 0.9300)", "0.9000 (0.8765 to 0.9200)", "0.2500"],
        ["its recurrent network alone", "0.7500 (0.7200 to 0.7800)", "0.7000 (0.6700 to 0.7300)", "0.5000"],
        ["the linear baseline", "0.5000 (0.4700 to 0.5300)", "0.4000 (0.3700 to 0.4300)", "1.2500"],
    ]


def test_it_holds_the_figures_of_each_label_and_each_slice() -> None:
    text = write()

    assert table(text, "label") == [
        ["fruit", "0.667", "0.750", "0.900", "1,234"],
        ["pythön", "0.667", "0.750", "0.900", "1,235"],
    ]
    assert table(text, "slice") == [
        ["code: with code", "0.913", "0.900 to 0.930", "0.500", "1,190"],
        ["read by the network: all of it", "1.000", "0.722 to 1.000", "0.400", "10"],
    ]


def test_it_says_how_far_its_probabilities_are_off_before_and_after_scaling() -> None:
    assert (
        "Its probabilities are off by 0.0123 (expected calibration error); before they were scaled by the temperature "
        "1.25, by 0.0568.\n"
    ) in write()


def test_a_network_alone_has_its_figures_once() -> None:
    network_alone = {name: value for name, value in figures().items() if name != "network"}

    text = write(params=PARAMS | {"train.ensemble_with_baseline": "False"}, told=network_alone)

    assert [row[0] for row in table(text, "")] == ["the classifier", "the linear baseline"]
    assert "averaged" not in text


def test_figures_of_an_old_run_that_has_no_others_make_a_card_of_these() -> None:
    text = write(told=OLD)

    assert table(text, "") == [
        ["the classifier", "0.9123", "0.9000", "0.2500"],
        ["its recurrent network alone", "0.7500", "0.7000", "0.5000"],
        ["the linear baseline", "0.5000", "0.4000", "1.2500"],
    ]
    assert not any(said in text for said in ("| label |", "| slice |", "calibration error", "interval", "lowest"))
    assert "\n\n\n" not in text
    assert text.endswith(f"from commit `{TAGS['git.commit']}`.\n")


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({}, "GRU of 64 units in each direction on tokens (`code`, the first 300 of a text), its answer averaged"),
        ({"train.cell": "lstm", "train.bidirectional": "False"}, "LSTM of 64 units on tokens (`code`, the first 300"),
        ({"train.ensemble_with_baseline": "False", "train.seed": "8"}, "the first 300 of a text). Seed 8.\n"),
        ({"vectorize.max_length": "5"}, "- The network reads the first 5 tokens of a text.\n"),
    ],
)
def test_it_says_how_the_model_was_trained(params: dict[str, str], said: str) -> None:
    assert said in write(params=PARAMS | params)


@pytest.mark.parametrize("sample", [True, False])
def test_it_warns_of_figures_of_the_sample_alone(sample: bool) -> None:
    warning = "- **The corpus is a sample for trying out; these figures say nothing of real posts.**\n"

    assert (warning in write(sample=sample)) == sample


@pytest.mark.parametrize(
    ("tags", "said"),
    [
        (TAGS, f"from commit `{TAGS['git.commit']}`.\n"),
        (TAGS | {"git.dirty": "true"}, f"commit `{TAGS['git.commit']}` and the changes in the run's `lineage/uncommi"),
        ({}, "from commit `unknown`.\n"),
    ],
)
def test_it_names_the_commit_and_the_patch_only_where_there_were_changes(tags: dict[str, str], said: str) -> None:
    text = write(tags=tags)

    assert said in text
    assert ("uncommitted.patch" in text) == (tags.get("git.dirty") == "true")


@pytest.mark.parametrize("labels", [60, 200, 2000])
def test_with_very_many_labels_it_is_no_longer_than_mlflow_keeps(labels: int) -> None:
    text = write([f"label {n} of many" for n in range(labels)])

    assert len(text) <= card.LONGEST == 5000
    assert "The 20 with the lowest F1:" in text
    assert [row[0] for row in table(text, "label")] == [f"label {labels - n} of many" for n in range(1, 21)]
    assert len(table(text, "slice")) == 2
    assert "## How to make it again" in text
    assert text.startswith(f"# answers\n\nWhich of {labels} labels a text has: label 0 of many, ")
    assert " … " not in text.partition("## Intended use")[2]


def test_up_to_twenty_labels_have_their_rows_in_order() -> None:
    text = write([f"label {n}" for n in range(20)])

    assert [row[0] for row in table(text, "label")] == [f"label {n}" for n in range(20)]
    assert "lowest" not in text


def test_a_card_that_fits_is_not_cut() -> None:
    assert "…" not in write([f"label {n}" for n in range(20)])


def test_a_card_that_does_not_fit_is_cut_at_its_end_and_says_so() -> None:
    labels = [f"label {n} of {'very ' * 20}many" for n in range(20)]

    text = write(labels, told=figures(labels) | {"slices": SLICES * 20})

    assert len(text) == card.LONGEST
    assert text.endswith("…\n")
    assert text.startswith("# answers\n\nWhich of 20 labels a text has: label 0 of very ")


def test_a_bar_in_a_label_or_a_slice_breaks_no_table() -> None:
    labels = ["a|b", "||", "c"]
    with_bars = figures(labels) | {"slices": [SLICES[0] | {"slice": "a|b"}]}

    text = write(labels, told=with_bars)

    assert [row[0] for row in table(text, "label")] == ["a/b", "//", "c"]
    assert [row[0] for row in table(text, "slice")] == ["code: a/b"]
