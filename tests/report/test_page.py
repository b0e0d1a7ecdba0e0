"""The report page: its metrics are those of the files, all data is text, and it needs no other file."""

import base64
import hashlib
import json
import random
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.report import charts, page
from pipeline.report.page import Champion

# Texts, labels and ids that would like to be more than text.
SCRIPT = "<script>alert(1)</script>"
HOSTILE = f"""</script></td></table>{SCRIPT} "two" 'one' &amp; &lt;b&gt; <img src=x onerror=x()> {{{{ 7 }}}} <!--"""
LABELS = [f'"><{SCRIPT}&amp;', "pythön"]
TEXT = "sort a dict by value"


def make_example(text: str = TEXT, **changes: Any) -> dict[str, Any]:
    return {
        "id": "test/fruit/0.txt", "text": text, "y_true": "fruit", "y_pred": "pythön", "reference": "fruit",
        "confidence": 0.98765, "network_correct": False, "baseline_correct": True, "attributions": [],
    } | changes  # fmt: skip


def make_metrics(labels: Sequence[str], is_ensemble: bool = True) -> dict[str, Any]:
    """A `metrics.json` whose values all differ, so that none can stand in the place of another unnoticed."""
    numbers = iter(random.Random(1).sample(range(1, 10_000), 1000))

    def values(*names: str) -> dict[str, float]:
        return {name: next(numbers) / 10_000 for name in names}

    def interval() -> list[float]:
        return [next(numbers) / 10_000, next(numbers) / 10_000]

    models = ["classifier", "network", "baseline"] if is_ensemble else ["classifier", "baseline"]
    return {
        "examples": 12345,
        **{model: values("accuracy", "macro_f1", "log_loss", "ece") for model in models},
        "mcnemar": {"only_classifier_correct": 1010, "only_baseline_correct": 2, "p_value": 0.0386},
        "uncalibrated": values("log_loss", "ece"),
        "temperature": 1.2345,
        "confidence_intervals": {model: {"accuracy": interval(), "macro_f1": interval()} for model in models},
        "macro_f1_difference_interval": [-0.0123456, 0.00001],
        "per_class": [
            {"label": label} | values("precision", "recall", "f1", "average_precision") | {"support": 6000}
            for label in labels
        ],
    }


def draw_charts(folder: Path, labels: Sequence[str]) -> None:
    """All charts of the page."""
    curve = [{"recall": 1.0, "precision": 0.5}, {"recall": 0.0, "precision": 1.0}]
    bins = [
        {"examples": 10, "confidence": 0.6, "accuracy": 0.5}, {"examples": 5, "confidence": 0.9, "accuracy": 1.0}
    ]  # fmt: skip
    ece = {"before scaling": 0.2, "after scaling": 0.1, "baseline": 0.3}
    row = {"by": "code", "slice": "with code", "examples": 9, "accuracy": 0.5, "interval": [0.2, 0.8]}
    counts = {"examples": 9, "both": 5, "only_network": 2, "only_baseline": 1, "neither": 1}
    epoch = {"epoch": 1, "log_loss": 0.9, "val_log_loss": 0.8, "accuracy": 0.5, "val_accuracy": 0.6}
    charts.plot_confusion_matrix(np.eye(2, dtype=int), labels, "title", folder / "confusion_matrix.svg")
    charts.plot_precision_recall(
        dict.fromkeys(labels, curve), dict.fromkeys(labels, 0.5), folder / "precision_recall.svg"
    )
    charts.plot_reliability(dict.fromkeys(ece, bins), ece, folder / "reliability.svg")
    charts.plot_coverage({"classifier": [{"coverage": 1.0, "accuracy": 0.75}]}, folder / "coverage.svg")
    charts.plot_slices([row | {"baseline_accuracy": 0.4}], folder / "slices.svg")
    charts.plot_agreement([{"label": label} | counts for label in labels], folder / "agreement.svg")
    charts.plot_history([epoch, epoch | {"epoch": 2}], 1, folder / "history.svg")
    charts.plot_gradients({"before": [1.0, 0.1], "after": [1.0, 0.5]}, "title", folder / "gradients.svg")


@pytest.fixture(scope="module")
def plots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the charts; not to be changed."""
    folder = tmp_path_factory.mktemp("reports") / "plots"
    draw_charts(folder, LABELS)
    return folder


@pytest.fixture
def reports(plots: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`reports/` of the current folder, with the charts alone."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(plots, tmp_path / "reports/plots")
    return tmp_path / "reports"


def write_page(
    examples: Sequence[Mapping[str, Any]] = (),
    similar_pairs: Sequence[Mapping[str, Any]] = (),
    labels: Sequence[str] = LABELS,
    is_sample: bool = False,
    n_errors: int = 1234,
    changes: Mapping[str, Any] | None = None,
    is_ensemble: bool = True,
    provenance: Sequence[tuple[str, str]] = (("run", "brave-owl (0123)"),),
    parameters: Sequence[tuple[str, str]] = (("train.cell", "gru"),),
    champion: Champion | None = None,
    source: str = "some corpus",
    run_name: str = "brave-owl",
    date: str = "2026-11-27",
) -> str:
    """The page of such a result in the current folder; `changes` are those of its metrics."""
    files = {
        "split": {
            "corpus": {"source": source, "sample": is_sample},
            "examples": {"train": 7000, "validation": 1001, "test": 12345},
            "rejected": {"no_text": 1200, "broken_quotes": 1},
        },
        "metrics": make_metrics(labels, is_ensemble) | dict(changes or {}),
        "train": {"parameters": 81668, "best_epoch": 4},
        "explanations": {"errors": n_errors, "examples": examples, "similar_pairs": similar_pairs},
    }
    for name, content in files.items():
        Path(f"reports/{name}.json").write_text(json.dumps(content), encoding="utf-8")
    path = Path("reports/report.html")
    page.write_page(path, run_name, date, provenance, parameters, champion, "It is the first & only one.")
    return path.read_text(encoding="utf-8")


class Element:
    def __init__(self, tag: str, attributes: Mapping[str, str | None]) -> None:
        self.tag, self.attributes = tag, attributes
        self.children: list[Element | str] = []

    def iter(self) -> Iterator["Element"]:
        yield self
        for child in self.children:
            if isinstance(child, Element):
                yield from child.iter()

    def all(self, tag: str, **attributes: str) -> list["Element"]:
        return [
            each for each in self.iter()
            if each.tag == tag and all(each.attributes.get(name) == value for name, value in attributes.items())
        ]  # fmt: skip

    def one(self, tag: str, **attributes: str) -> "Element":
        (element,) = self.all(tag, **attributes)
        return element

    @property
    def text(self) -> str:
        return "".join(child if isinstance(child, str) else child.text for child in self.children)


class TreeParser(HTMLParser):
    """Reads a page as a tree; asserts that every element is closed, and none while an inner one is open."""

    VOID = ("meta", "br", "img", "link", "input")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.root = Element("", {})
        self.open = [self.root]
        self.feed(text)
        self.close()
        assert self.open == [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, dict(attrs))
        self.open[-1].children.append(element)
        if tag not in self.VOID:
            self.open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open[-1].children.append(Element(tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop().tag == tag

    def handle_data(self, data: str) -> None:
        self.open[-1].children.append(data)

    def handle_comment(self, data: str) -> None:
        self.open[-1].children.append(Element("!--", {}))


def read(text: str) -> Element:
    return TreeParser(text).root


def structure(root: Element) -> list[tuple[str, list[str]]]:
    """The tags in order, each with the names of its attributes."""
    return [(element.tag, list(element.attributes)) for element in root.iter()]


def normalize(text: str) -> str:
    """The text as a browser shows it: any whitespace is one space."""
    return " ".join(text.split())


def example_rows(text: str) -> list[Element]:
    return read(text).one("table", id="examples").one("tbody").all("tr")


def example_text(row: Element) -> str:
    return row.one("td", **{"class": "text"}).one("div").text


def marks(row: Element) -> list[tuple[str, float, bool]]:
    """The marked words of an example, with their share of the largest attribution, and whether it is negative."""
    return [
        (mark.text, float(re.fullmatch(r"--share:(\d\.\d\d)", mark.attributes["style"] or "")[1]),  # type: ignore[index]
         mark.attributes.get("class") == "against")
        for mark in row.all("mark")
    ]  # fmt: skip


def look_up(metrics: Any, path: str) -> Any:
    for part in path.split("."):
        metrics = metrics[int(part)] if isinstance(metrics, list) else metrics[part]
    return metrics


# Title, verdict and metrics


@pytest.mark.parametrize(
    ("run_name", "title"),
    [("brave-owl", "posts: brave-owl, 2026-11-27"), ("posts gru 96 seed 1", "posts gru 96 seed 1, 2026-11-27")],
)
def test_title_and_heading_name_corpus_run_and_date(reports: Path, run_name: str, title: str) -> None:
    root = read(write_page(source="posts", run_name=run_name, date="2026-11-27"))

    assert root.one("title").text == root.one("h1").text == title


@pytest.mark.parametrize("is_sample", [True, False])
def test_verdict_comes_first_and_then_a_warning_if_the_corpus_is_the_sample(reports: Path, is_sample: bool) -> None:
    root = read(write_page(is_sample=is_sample))

    verdict, *others = root.one("header").all("p")
    assert verdict.text.startswith("The classifier is significantly better than the baseline: 1,010 examples only the")
    assert verdict.text.endswith("2 only the baseline (McNemar's test, p = 0.039).")
    warning = "The sample corpus is generated: its metrics say nothing about real texts."
    assert [other.text for other in others] == ([warning] if is_sample else [])


def test_sections_are_in_order_and_the_contents_link_to_each(reports: Path) -> None:
    root = read(write_page())

    sections = [section.attributes["id"] for section in root.all("section")]
    assert sections == ["summary", "errors", "calibration", "per-class", "slices", "training", "provenance"]
    assert [link.attributes["href"] for link in root.one("nav").all("a")] == [f"#{section}" for section in sections]
    assert [section.one("h2").text for section in root.all("section")] == [
        link.text for link in root.one("nav").all("a")
    ]


@pytest.mark.parametrize("is_ensemble", [True, False])
def test_every_metric_is_the_one_of_its_name_in_the_file(reports: Path, is_ensemble: bool) -> None:
    values = read(write_page(is_ensemble=is_ensemble)).all("data")

    metrics = json.loads((reports / "metrics.json").read_text())
    for element in values:
        value = look_up(metrics, element.attributes["data-metric"] or "")
        assert float(element.attributes["value"] or "") == value
        assert element.text == ("12,345" if value == 12345 else f"{value:.4f}")
    models = ["classifier", "network", "baseline"] if is_ensemble else ["classifier", "baseline"]
    of_models = {f"{model}.{name}" for model in models for name in ("accuracy", "macro_f1", "log_loss", "ece")}
    intervals = {
        f"confidence_intervals.{model}.{name}.{end}"
        for model in models
        for name in ("accuracy", "macro_f1")
        for end in (0, 1)
    }
    of_classes = {
        f"per_class.{n}.{name}" for n in (0, 1) for name in ("precision", "recall", "f1", "average_precision")
    }
    assert {element.attributes["data-metric"] for element in values} == of_models | intervals | of_classes | {
        "examples", "temperature", "uncalibrated.ece", "uncalibrated.log_loss",
        "macro_f1_difference_interval.0", "macro_f1_difference_interval.1",
    }  # fmt: skip


def test_table_of_metrics_has_a_row_per_model_and_a_column_per_metric(reports: Path) -> None:
    table = read(write_page()).one("section", id="summary").one("table")

    metrics = json.loads((reports / "metrics.json").read_text())
    assert [cell.text for cell in table.one("thead").all("th")] == [
        "", "accuracy", "macro F1", "log loss", "calibration error",
    ]  # fmt: skip
    names = [("classifier", "classifier"), ("network", "network alone"), ("baseline", "baseline")]
    for row, (model, name) in zip(table.one("tbody").all("tr"), names, strict=True):
        assert row.one("th").text == name
        assert [cell.all("data")[0].text for cell in row.all("td")] == [
            f"{metrics[model][metric]:.4f}" for metric in ("accuracy", "macro_f1", "log_loss", "ece")
        ]


def test_page_has_sizes_standing_training_and_provenance(reports: Path) -> None:
    root = read(write_page(provenance=[("commit", "c0ffee"), ("corpus <b>", HOSTILE)], parameters=[("seed", "<7>")]))

    text = normalize(root.text)
    assert "7,000 training, 1,001 validation and 12,345 held-out test examples of 2 labels." in text
    assert "It is the first & only one." in text
    assert "81,668 trainable parameters. The weights are those of epoch 4" in text
    provenance = root.one("section", id="provenance")
    assert [name.text for name in provenance.all("dt")] == ["commit", "corpus <b>", "seed"]
    assert [value.text for value in provenance.all("dd")] == ["c0ffee", HOSTILE, "<7>"]


def test_rows_that_could_not_be_used_are_counted_by_reason(reports: Path) -> None:
    text = normalize(read(write_page()).text)

    assert "1,201 rows of the source could not be used (no text: 1,200, broken quotes: 1)." in text


def test_champion_has_a_row_with_the_metrics_that_it_has(reports: Path) -> None:
    champion = Champion(f"champion, {SCRIPT}", {"accuracy": 0.5, "macro_f1": 0.25, "log_loss": 1})

    with_champion, without = (
        read(write_page(champion=each)).one("section", id="summary").all("tr") for each in (champion, None)
    )

    assert len(without) == len(with_champion) - 1
    assert [cell.text for cell in with_champion[-1].iter() if cell.tag in ("th", "td")] == [
        f"champion, {SCRIPT}", "0.5000", "0.2500", "1.0000", "\N{EN DASH}",
    ]  # fmt: skip


# Calibration


@pytest.mark.parametrize(
    ("temperature", "sentence"),
    [
        (1.5, "The probabilities are scaled by the temperature 1.5000, fitted on the validation split. The expected"),
        (1.0, "The probabilities are not scaled (temperature 1.0000). The expected"),
    ],
)
def test_page_says_whether_the_probabilities_are_scaled(reports: Path, temperature: float, sentence: str) -> None:
    section = read(write_page(changes={"temperature": temperature})).one("section", id="calibration")

    assert sentence in normalize(section.text)


@pytest.mark.parametrize(
    ("ece", "log_loss", "worsened"),
    [
        (0.03, 0.6, "calibration error and the log loss"),
        (0.03, 0.5, "calibration error"),
        (0.01, 0.6, "log loss"),
        (0.01, 0.4, None),
        (0.02, 0.5, None),
    ],
)
def test_page_says_if_temperature_scaling_made_the_calibration_worse(
    reports: Path, ece: float, log_loss: float, worsened: str | None
) -> None:
    classifier = make_metrics(LABELS)["classifier"] | {"ece": ece, "log_loss": log_loss}
    changes = {"uncalibrated": {"ece": 0.02, "log_loss": 0.5}, "classifier": classifier}

    section = read(write_page(changes=changes)).one("section", id="calibration")

    warnings = [paragraph.text for paragraph in section.all("p", **{"class": "warning"})]
    sentence = f"Temperature scaling made the {worsened} on the test split larger."
    assert warnings == ([sentence] if worsened else [])


# Data is text


def hostile_data(text: str, label: str) -> dict[str, Any]:
    """The arguments of a page whose examples are such texts."""
    example = make_example(
        text, id=text, y_true=label, y_pred=label, reference=label, attributions=[[0, 2, 1.5], [3, 5, -0.5]]
    )
    pair = {side: {"id": text, "text": text, "y_true": label, "y_pred": label} for side in ("first", "second")}
    return {
        "examples": [example, example], "similar_pairs": [{"similarity": 0.5} | pair], "labels": [label, "pythön"]
    }  # fmt: skip


def test_texts_labels_ids_and_names_are_text_whatever_they_contain(reports: Path) -> None:
    root = read(write_page(**hostile_data(HOSTILE, LABELS[0]), source=HOSTILE, run_name=f"brave-owl {HOSTILE}"))
    plain = read(write_page(**hostile_data("a harmless text", LABELS[0])))

    assert structure(root) == structure(plain)
    assert [script.text for script in root.all("script")] == [(page.HERE / "page.js").read_text()]
    assert root.one("h1").text == root.one("title").text == f"{HOSTILE}: brave-owl {HOSTILE}, 2026-11-27"
    for row in root.one("table", id="examples").one("tbody").all("tr"):
        assert [cell.text for cell in row.all("td")[:3]] == [LABELS[0], LABELS[0], "0.988"]
        assert example_text(row) == HOSTILE
        assert [mark.text for mark in row.all("mark")] == [HOSTILE[:2], HOSTILE[3:5]]
        assert row.one("span").text == HOSTILE
        assert [row.attributes[f"data-{name}"] for name in ("true", "predicted")] == [LABELS[0]] * 2
    for cell in root.one("details", id="similar").all("td"):
        assert cell.one("div").text == cell.all("span")[1].text == HOSTILE
        assert cell.all("span")[0].text == f"{LABELS[0]}, predicted {LABELS[0]}"
    assert [option.text for option in root.one("select", id="true").all("option")] == ["any", *LABELS]
    assert root.one("section", id="per-class").one("tbody").all("th")[0].text == LABELS[0]


def test_labels_in_the_charts_are_text_whatever_they_contain(reports: Path) -> None:
    svgs = read(write_page()).all("svg")

    assert len(svgs) == 8
    assert sum(text.text == LABELS[0] for svg in svgs for text in svg.all("text")) == 2  # axes of the matrix
    assert not any(element.tag in ("script", "image", "img", "!--") for svg in svgs for element in svg.iter())


def test_no_attribute_runs_or_loads_anything(reports: Path) -> None:
    root = read(write_page(**hostile_data(HOSTILE, LABELS[0])))

    attributes = {name for element in root.iter() for name in element.attributes}
    assert attributes
    assert not {name for name in attributes if name.startswith("on") or name in ("src", "action", "srcdoc")}


def test_only_the_script_of_the_page_may_run(reports: Path) -> None:
    root = read(write_page(**hostile_data(HOSTILE, LABELS[0])))

    policy = root.one("meta", **{"http-equiv": "Content-Security-Policy"}).attributes["content"] or ""
    sha256 = base64.b64encode(hashlib.sha256(root.one("script").text.encode()).digest()).decode()
    assert dict(rule.split(" ", 1) for rule in policy.split("; ")) == {
        "default-src": "'none'", "style-src": "'unsafe-inline'", "script-src": f"'sha256-{sha256}'",
    }  # fmt: skip


def test_page_names_no_host_and_no_other_file(reports: Path) -> None:
    text = write_page([make_example()])

    assert set(re.findall(r"\w*://[^\"'\s<]*", text)) == {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert all(link.startswith("#") for link in re.findall(r'href="([^"]*)"', text))
    assert all(link.startswith("#") for link in re.findall(r"url\(([^)]*)", text))
    assert "@import" not in text


def test_script_finds_the_elements_and_attributes_that_it_uses(reports: Path) -> None:
    root = read(write_page([make_example()]))
    script = root.one("script").text

    ids = re.findall(r'"(\w+)"', re.findall(r"\[(.*)\]\.map", script)[0]) + re.findall(r'ById\("(\w+)"\)', script)
    assert ids == ["kind", "true", "predicted", "more", "count"]
    assert all(len([each for each in root.iter() if each.attributes.get("id") == id]) == 1 for id in ids)
    kinds = [option.attributes["value"] for option in root.one("select", id="kind").all("option")]
    assert kinds == re.findall(r"^  (\w+): \(row\) =>", script, flags=re.MULTILINE)
    (row,) = root.one("table", id="examples").one("tbody").all("tr")
    assert {f"data-{name}" for name in re.findall(r"\brow\.(?:dataset\.)?(\w+)", script)} - {
        "data-dataset", "data-hidden",
    } == set(row.attributes)  # fmt: skip
    assert (row.attributes["data-network"], row.attributes["data-baseline"]) == ("0", "1")


def test_label_with_spaces_is_selected_by_the_value_that_its_examples_have(reports: Path) -> None:
    label = " two  spaces "  # a browser strips and collapses them in the text of an option

    root = read(write_page([make_example(y_true=label, y_pred=label)], labels=[label, "pythön"]))

    (row,) = root.one("table", id="examples").one("tbody").all("tr")
    for name in ("true", "predicted"):
        values = [option.attributes["value"] for option in root.one("select", id=name).all("option")]
        assert values == ["", label, "pythön"]
        assert row.attributes[f"data-{name}"] == label


# Attributions


def test_words_are_marked_with_their_share_of_the_largest_attribution(reports: Path) -> None:
    (row,) = example_rows(write_page([make_example(attributions=[[0, 4, -0.5], [7, 11, 2.0], [15, 20, 0.1]])]))

    assert example_text(row) == TEXT
    assert marks(row) == [("sort", 0.25, True), ("dict", 1.0, False), ("value", 0.05, False)]


def test_word_is_marked_the_more_the_larger_its_absolute_attribution(reports: Path) -> None:
    words = ["one", "two", "three", "four", "five", "six", "seven"]
    values = [0.3, -0.1, 2.5, -3.0, 1.1, -0.6, 0.02]
    text = " ".join(words)
    spans = [[text.index(word), text.index(word) + len(word), value] for word, value in zip(words, values, strict=True)]

    (row,) = example_rows(write_page([make_example(text, attributions=spans)]))

    by_share = sorted(marks(row), key=lambda mark: mark[1])
    assert [mark[0] for mark in by_share] == ["seven", "two", "one", "six", "five", "three", "four"]
    assert [mark[2] for mark in by_share] == [False, True, False, True, False, False, True]


def test_adjacent_words_are_marked_also_after_characters_of_any_width(reports: Path) -> None:
    text = "\n 🎄é<&>f(x)"

    (row,) = example_rows(write_page([make_example(text, attributions=[[7, 8, 1.0], [8, 9, -1.0], [9, 10, 0.5]])]))

    assert example_text(row) == text
    assert [mark[0] for mark in marks(row)] == ["f", "(", "x"]


def test_example_without_attributions_has_no_marks(reports: Path) -> None:
    (row,) = example_rows(write_page([make_example(attributions=[])]))

    assert (example_text(row), marks(row)) == (TEXT, [])


def test_split_text_keeps_the_text_and_marks_the_words_that_end_in_it() -> None:
    rng = random.Random(1)
    for _ in range(200):
        text = "".join(rng.choices("ab <&\n🎄", k=rng.randint(0, 30)))
        borders = sorted(rng.sample(range(40), 8))
        spans = zip(borders[::2], borders[1::2], strict=True)
        attributions = [(start, end, rng.uniform(-3, 3)) for start, end in spans]

        pieces = list(page.highlight(text, attributions))

        assert "".join(piece for piece, _ in pieces) == text
        marked = [piece for piece, share in pieces if share is not None]
        assert marked == [text[start:end] for start, end, _ in attributions if end <= len(text)]
        assert all(-1 <= share <= 1 for _, share in pieces if share is not None)


# Long texts and many examples


def test_long_text_is_cut_and_words_after_the_cut_are_not_marked(reports: Path) -> None:
    text = "dict " * 299 + "word1 word2"  # `word1` ends at the 1500th character
    attributions = [[0, 4, 1.0], [1495, 1500, -2.0], [1501, 1506, 4.0]]

    cut, whole = example_rows(
        write_page(
            [make_example(text, attributions=attributions), make_example(text[:1500], attributions=attributions[:2])]
        )
    )

    assert example_text(cut) == text[:1500] + " …"
    assert marks(cut) == [("dict", 0.25, False), ("word1", 0.5, True)]
    assert example_text(whole) == text[:1500]
    assert marks(whole) == [("dict", 0.5, False), ("word1", 1.0, True)]


def test_word_across_the_cut_is_not_marked(reports: Path) -> None:
    (row,) = example_rows(write_page([make_example("a" * 1498 + "dict", attributions=[[1498, 1502, 1.0]])]))

    assert (example_text(row), marks(row)) == ("a" * 1498 + "di …", [])


@pytest.mark.parametrize("length", [1500, 1501])
def test_similar_examples_are_cut_as_well(reports: Path, length: int) -> None:
    sides = [{"id": f"{n}.txt", "text": "<" * length, "y_true": f"l{n}", "y_pred": f"p{n}"} for n in (1, 2)]
    pair = {"similarity": 0.98765, "first": sides[0], "second": sides[1]}

    details = read(write_page(similar_pairs=[pair])).one("details", id="similar")

    assert details.one("summary").text == "Similar test examples with different labels (1 pair)"
    assert details.one("th").text == "similarity 0.99: l1 and l2"
    assert [div.text for div in details.all("div")] == ["<" * 1500 + (" …" if length > 1500 else "")] * 2
    assert [span.text for span in details.all("span")] == ["l1, predicted p1", "1.txt", "l2, predicted p2", "2.txt"]


def test_page_without_similar_examples_says_so(reports: Path) -> None:
    text = read(write_page()).one("details", id="similar").text

    assert "No two examples with different labels share a word." in text


@pytest.mark.parametrize("text", ["🎄" * 2000, '&"' * 1000, "a" * 2000], ids=["tree", "quotes", "a"])
def test_page_with_many_errors_has_the_first_of_them_says_how_many_and_is_limited_in_size(
    reports: Path, text: str
) -> None:
    attributions = [[start, start + 1, 1.0] for start in range(0, 1500, 100)]
    examples = [make_example(text, id=str(number), attributions=attributions) for number in range(2500)]

    html = write_page(examples, n_errors=2500)

    assert 2_000_000 < (reports / "report.html").stat().st_size < 5_000_000
    ids = re.findall(r'<span class="id soft">(\d+)</span>', html)
    assert ids == [str(number) for number in range(len(ids))]
    assert f"{len(ids):,} of 2,500 errors are shown, those with the highest confidence." in html


def test_correct_predictions_take_precedence_over_the_last_errors(reports: Path) -> None:
    errors = [make_example("a" * 1500, id=f"{number}", attributions=[[0, 1, 1.0]]) for number in range(3000)]
    correct = make_example("b", id="correct", y_true="pythön")

    html = write_page([*errors, correct])

    ids = re.findall(r'<span class="id soft">(\w+)</span>', html)
    assert ids == [*(str(number) for number in range(len(ids) - 1)), "correct"]
    assert 1000 < len(ids) < 3000


def test_page_with_room_for_all_errors_does_not_say_that_some_are_omitted(reports: Path) -> None:
    html = write_page([make_example()] * 3, n_errors=3)

    assert len(example_rows(html)) == 3
    assert read(html).one("output").text == "3 examples"
    assert "All 3 errors, those with the highest confidence first." in html
    assert "are shown" not in html


def test_same_inputs_give_the_same_bytes_and_others_give_others(reports: Path) -> None:
    first, other, again = (
        write_page([make_example(attributions=attributions)])
        for attributions in ([[0, 4, 1.0]], [[0, 4, -1.0]], [[0, 4, 1.0]])
    )

    assert again == first != other


# Charts


def test_label_that_is_a_color_keeps_its_name(tmp_path: Path) -> None:
    (tmp_path / "chart.svg").write_text('<svg><text style="fill: #000000">#000000</text></svg>', encoding="utf-8")

    svg = page.read_chart(tmp_path / "chart.svg")

    assert svg == '<svg><text style="fill: currentColor">#000000</text></svg>'


def test_chart_is_inlined_without_its_background_and_in_the_colors_of_the_page(plots: Path) -> None:
    before = (plots / "coverage.svg").read_text(encoding="utf-8")

    svg = page.read_chart(plots / "coverage.svg")

    assert "#ffffff" in before
    assert "#000000" in before
    assert svg.startswith("<svg ")
    assert "#ffffff" not in svg
    assert svg.count("currentColor") == before.count("#000000")
    root, whole = read(svg), read(before[before.index("<svg") :])
    assert [text.text for text in root.all("text")] == [text.text for text in whole.all("text")]
    assert len(root.all("path")) == len(whole.all("path")) - 1
    assert not root.all("metadata")
    # All elements that `use` refers to are there.
    ids = {element.attributes["id"] for element in root.iter() if "id" in element.attributes}
    used = {(use.attributes["xlink:href"] or "").removeprefix("#") for use in root.all("use")}
    assert used
    assert used <= ids
