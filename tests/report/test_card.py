"""The model card: what it says of a model, its data, its figures and its limits."""

from collections.abc import Mapping, Sequence

import pytest

from pipeline.report import card

PARAMS = {
    "train.cell": "gru", "train.units": "64", "train.bidirectional": "True", "train.wide": "True", "train.seed": "7",
    "vectorize.tokenizer": "code", "vectorize.max_tokens": "300",
}  # fmt: skip
TAGS = {"git.commit": "c0ffee" * 6, "git.dirty": "false"}
FIGURES = {
    "posts": 1200,
    "classifier": {"accuracy": 0.91234, "macro_f1": 0.90001, "log_loss": 0.25},
    "baseline": {"accuracy": 0.5, "macro_f1": 0.4, "log_loss": 1.25},
    "network": {"accuracy": 0.75, "macro_f1": 0.7, "log_loss": 0.5},
}
LABELS = ["fruit", "pythön"]


def write(
    labels: Sequence[str] = LABELS,
    sample: bool = False,
    params: Mapping[str, str] = PARAMS,
    tags: Mapping[str, str] = TAGS,
    figures: Mapping[str, object] = FIGURES,
) -> str:
    """The card of a classifier of these labels, which gets the first of three posts of a label wrong."""
    every = range(len(labels))
    actual = [label for label in every for _ in range(3)]
    predicted = [(label + (n == 0)) % len(labels) for label in every for n in range(3)]
    predictions = [{"actual": labels[a], "predicted": labels[p]} for a, p in zip(actual, predicted, strict=True)]
    split = {
        "corpus": {"source": "some posts", "sample": sample, "digest": "0123456789abcdef" * 4, "licence": "CC BY 4.0"},
        "test": "drawn, stratified",
        "posts": {"train": 7000, "validation": 1000, "test": 1200},
        "labels": {role: dict.fromkeys(labels, 3) for role in ("train", "validation", "test")},
        "duplicates_dropped": {"in_test_too": 1000, "nearly_in_test_too": 234},
    }
    return card.write("answers", params, tags, split, figures, predictions)


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


def test_it_holds_the_figures_of_all_three_models_and_of_each_label() -> None:
    text = write()

    assert "On the 1,200 test posts," in text
    assert table(text, "") == [
        ["the classifier", "0.9123", "0.9000", "0.2500"],
        ["its recurrent network alone", "0.7500", "0.7000", "0.5000"],
        ["the linear baseline", "0.5000", "0.4000", "1.2500"],
    ]
    assert table(text, "label") == [
        ["fruit", "0.667", "0.667", "0.667", "3"],
        ["pythön", "0.667", "0.667", "0.667", "3"],
    ]


def test_a_network_alone_has_its_figures_once() -> None:
    network_alone = {name: value for name, value in FIGURES.items() if name != "network"}

    text = write(params=PARAMS | {"train.wide": "False"}, figures=network_alone)

    assert [row[0] for row in table(text, "")] == ["the classifier", "the linear baseline"]
    assert "averaged" not in text


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({}, "GRU of 64 units in each direction on tokens (`code`, the first 300 of a text), its answer averaged"),
        ({"train.cell": "lstm", "train.bidirectional": "False"}, "LSTM of 64 units on tokens (`code`, the first 300"),
        ({"train.wide": "False", "train.seed": "8"}, "the first 300 of a text). Seed 8.\n"),
        ({"vectorize.max_tokens": "5"}, "- The network reads the first 5 tokens of a text.\n"),
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
    assert len(table(text, "label")) == card.LABELS
    assert "## How to make it again" in text
    assert text.startswith(f"# answers\n\nWhich of {labels} labels a text has: label 0 of many, ")
    assert " … " not in text.partition("## Intended use")[2]


def test_a_card_that_fits_is_not_cut() -> None:
    assert "…" not in write([f"label {n}" for n in range(20)])


def test_a_bar_in_a_label_breaks_no_table() -> None:
    rows = table(write(["a|b", "||", "c"]), "label")

    assert [row[0] for row in rows] == ["a/b", "//", "c"]


@pytest.mark.parametrize("label", ["accuracy", "macro avg", "weighted avg"])
def test_a_label_may_have_the_name_of_a_line_of_the_report(label: str) -> None:
    assert table(write([label, "b", "c"]), "label")[0] == [label, "0.667", "0.667", "0.667", "3"]
