"""The page: its figures are those of the files, whatever a post says is text, and it needs nothing but itself."""

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

from pipeline.report import charts, page, plots

# Each is a label, an id or a post that would like to be more than text.
SCRIPT = "<script>alert(1)</script>"
HARD = f"""</script></td></table>{SCRIPT} "double" 'single' &amp; &lt;b&gt; <img src=x onerror=x()> {{{{ 7 }}}} <!--"""
LABELS = [f'"><{SCRIPT}&amp;', "pythön"]
WORDS = "sort a dict by value"


def post(text: str = WORDS, **changes: Any) -> dict[str, Any]:
    return {
        "id": "test/fruit/0.txt", "text": text, "y_true": "fruit", "y_pred": "pythön", "against": "fruit",
        "confidence": 0.98765, "network": "wrong", "baseline": "right", "words": [],
    } | changes  # fmt: skip


def metrics(labels: Sequence[str], wide: bool = True) -> dict[str, Any]:
    """Figures of which no two are the same: none can stand in the place of another unseen."""
    numbers = iter(random.Random(1).sample(range(1, 10_000), 1000))

    def some(*names: str) -> dict[str, float]:
        return {name: next(numbers) / 10_000 for name in names}

    def ends() -> list[float]:
        return [next(numbers) / 10_000, next(numbers) / 10_000]

    models = ["classifier", "network", "baseline"] if wide else ["classifier", "baseline"]
    return {
        "posts": 12345,
        **{model: some("accuracy", "macro_f1", "log_loss", "ece") for model in models},
        "mcnemar": {"only_classifier_right": 1010, "only_baseline_right": 2, "p": 0.0386},
        "before_scaling": some("log_loss", "ece"),
        "temperature": 1.2345,
        "intervals": {model: {"accuracy": ends(), "macro_f1": ends()} for model in models},
        "macro_f1_above_baseline": [-0.0123456, 0.00001],
        "labels": [
            {"label": label} | some("precision", "recall", "f1", "average_precision") | {"posts": 6000}
            for label in labels
        ],
    }


def draw(folder: Path, labels: Sequence[str]) -> None:
    """All pictures that the page holds."""
    curve = [{"recall": 1.0, "precision": 0.5}, {"recall": 0.0, "precision": 1.0}]
    bins = [{"posts": 10, "confidence": 0.6, "accuracy": 0.5}, {"posts": 5, "confidence": 0.9, "accuracy": 1.0}]
    covered = [{"coverage": 1.0, "accuracy": 0.75}]
    errors = {"before scaling": 0.2, "after scaling": 0.1, "baseline": 0.3}
    row = {"by": "code", "slice": "with code", "posts": 9, "accuracy": 0.5, "interval": [0.2, 0.8]}
    shared = {"posts": 9, "both": 5, "only_network": 2, "only_baseline": 1, "neither": 1}
    epoch = {"epoch": 1, "log_loss": 0.9, "val_log_loss": 0.8, "accuracy": 0.5, "val_accuracy": 0.6}
    evaluation = folder / "evaluation"
    charts.plot_confusion_matrix(np.eye(2, dtype=int), labels, "title", evaluation / "classifier/confusion_matrix.svg")
    charts.plot_precision_recall(
        dict.fromkeys(labels, curve), dict.fromkeys(labels, 0.5), evaluation / "plots/precision_recall.svg"
    )
    charts.plot_reliability(dict.fromkeys(errors, bins), errors, evaluation / "plots/reliability.svg")
    charts.plot_coverage({"classifier": covered}, evaluation / "plots/coverage.svg")
    charts.plot_slices([row | {"baseline_accuracy": 0.4}], evaluation / "plots/slices.svg")
    charts.plot_agreement([{"label": label} | shared for label in labels], evaluation / "plots/agreement.svg")
    plots.plot_history([epoch, epoch | {"epoch": 2}], 1, folder / "history.svg")
    plots.plot_gradients({"before": [1.0, 0.1], "after": [1.0, 0.5]}, "title", folder / "gradients.svg")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`reports/` with the pictures alone; not to be changed."""
    folder = tmp_path_factory.mktemp("pictures") / "reports"
    draw(folder, LABELS)
    return folder


@pytest.fixture
def reports(pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`reports/` of the current folder, with the pictures."""
    monkeypatch.chdir(tmp_path)
    return shutil.copytree(pictures, tmp_path / "reports")


def made(
    posts: Sequence[Mapping[str, Any]] = (),
    alike: Sequence[Mapping[str, Any]] = (),
    labels: Sequence[str] = LABELS,
    sample: bool = False,
    mistakes: int = 1234,
    changes: Mapping[str, Any] | None = None,
    wide: bool = True,
    lineage: Sequence[tuple[str, str]] = (("run", "brave-owl (0123)"),),
    parameters: Sequence[tuple[str, str]] = (("train.cell", "gru"),),
    champion: Mapping[str, Any] | None = None,
    source: str = "some posts",
) -> str:
    """The page of such a result in the current folder."""
    files = {
        "split": {
            "corpus": {"source": source, "sample": sample},
            "posts": {"train": 7000, "validation": 1001, "test": 12345},
        },
        "metrics": metrics(labels, wide) | dict(changes or {}),
        "train": {"parameters": 81668, "best_epoch": 4},
        "posts": {"mistakes": mistakes, "posts": posts, "alike": alike},
    }
    for name, content in files.items():
        Path(f"reports/{name}.json").write_text(json.dumps(content), encoding="utf-8")
    page.write_page(Path("reports/report.html"), lineage, parameters, champion, "It is the first & only one.")
    return Path("reports/report.html").read_text(encoding="utf-8")


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
        (found,) = self.all(tag, **attributes)
        return found

    @property
    def text(self) -> str:
        return "".join(child if isinstance(child, str) else child.text for child in self.children)


class Reader(HTMLParser):
    """A page as a tree; an element that is not closed, or closed where another one is open, is an error."""

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
    return Reader(text).root


def shape(root: Element) -> list[tuple[str, list[str]]]:
    """All tags in order, each with the names of its attributes."""
    return [(element.tag, list(element.attributes)) for element in root.iter()]


def rows(text: str) -> list[Element]:
    return read(text).one("table", id="posts").one("tbody").all("tr")


def shown(row: Element) -> str:
    return row.one("td", **{"class": "text"}).one("div").text


def marks(row: Element) -> list[tuple[str, float, bool]]:
    """What is marked in a post: the words, the share, and whether it speaks against the label predicted."""
    return [
        (mark.text, float(re.fullmatch(r"--share:(\d\.\d\d)", mark.attributes["style"] or "")[1]),  # type: ignore[index]
         mark.attributes.get("class") == "against")
        for mark in row.all("mark")
    ]  # fmt: skip


def at(figures: Any, path: str) -> Any:
    for part in path.split("."):
        figures = figures[int(part)] if isinstance(figures, list) else figures[part]
    return figures


@pytest.mark.parametrize("wide", [True, False])
def test_every_figure_is_the_one_of_that_name_in_the_metrics(reports: Path, wide: bool) -> None:
    told = read(made(wide=wide)).all("data")

    figures = json.loads((reports / "metrics.json").read_text())
    for figure in told:
        value = at(figures, figure.attributes["data-figure"] or "")
        assert float(figure.attributes["value"] or "") == value
        assert figure.text == ("12,345" if value == 12345 else f"{value:.4f}")
    models = ["classifier", "network", "baseline"] if wide else ["classifier", "baseline"]
    of_models = {f"{model}.{name}" for model in models for name in ("accuracy", "macro_f1", "log_loss", "ece")}
    ends = {
        f"intervals.{model}.{name}.{end}" for model in models for name in ("accuracy", "macro_f1") for end in (0, 1)
    }
    of_labels = {f"labels.{n}.{name}" for n in (0, 1) for name in ("precision", "recall", "f1", "average_precision")}
    assert {figure.attributes["data-figure"] for figure in told} == of_models | ends | of_labels | {
        "posts", "temperature", "before_scaling.ece", "before_scaling.log_loss",
        "macro_f1_above_baseline.0", "macro_f1_above_baseline.1",
    }  # fmt: skip


def test_a_row_of_figures_has_the_name_of_its_model_and_its_column(reports: Path) -> None:
    table = read(made()).one("section", id="good").one("table")

    figures = json.loads((reports / "metrics.json").read_text())
    assert [cell.text for cell in table.one("thead").all("th")] == [
        "", "accuracy", "macro F1", "log loss", "calibration error",
    ]  # fmt: skip
    of_model = [("classifier", "the classifier"), ("network", "its recurrent network alone"),
                ("baseline", "the linear baseline")]  # fmt: skip
    for row, (model, name) in zip(table.one("tbody").all("tr"), of_model, strict=True):
        assert row.one("th").text == name
        assert [cell.all("data")[0].text for cell in row.all("td")] == [
            f"{figures[model][figure]:.4f}" for figure in ("accuracy", "macro_f1", "log_loss", "ece")
        ]


def test_it_says_what_was_judged_and_how_it_was_made(reports: Path) -> None:
    text = read(made(lineage=[("commit", "c0ffee"), ("corpus <b>", HARD)], parameters=[("train.seed", "<7>")]))

    said = " ".join(text.text.split())
    assert "2 labels; learned from 7,000 posts, chosen by 1,001, judged on 12,345 test posts" in said
    assert "The classifier beats the baseline: 1,010 posts only the classifier gets right, 2 only" in said
    assert "It is the first & only one." in said
    assert "81,668 parameters; the weights kept are those of epoch 4." in said
    lineage = text.one("section", id="lineage")
    assert [name.text for name in lineage.all("dt")] == ["commit", "corpus <b>", "train.seed"]
    assert [value.text for value in lineage.all("dd")] == ["c0ffee", HARD, "<7>"]


@pytest.mark.parametrize(("temperature", "said"), [(1.5, "was fitted on validation posts"), (1.0, "changes nothing")])
def test_it_says_whether_the_probabilities_were_scaled(reports: Path, temperature: float, said: str) -> None:
    text = " ".join(read(made(changes={"temperature": temperature})).one("section", id="sure").text.split())

    assert f"by the temperature {temperature:.4f}, which {said}, they are" in text


def test_another_champion_has_a_row_with_the_figures_that_it_has(reports: Path) -> None:
    champion = {"name": f"the champion, {SCRIPT}", "figures": {"accuracy": 0.5, "macro_f1": 0.25, "log_loss": 1}}

    with_one, without = (read(made(champion=who)).one("section", id="good").all("tr") for who in (champion, None))

    assert len(without) == len(with_one) - 1
    assert [cell.text for cell in with_one[-1].iter() if cell.tag in ("th", "td")] == [
        f"the champion, {SCRIPT}", "0.5000", "0.2500", "1.0000", "\N{EN DASH}",
    ]  # fmt: skip


@pytest.mark.parametrize("sample", [True, False])
def test_it_warns_of_figures_of_the_sample_alone(reports: Path, sample: bool) -> None:
    text = made(sample=sample)

    assert ("The corpus is a sample for trying out: these figures say nothing of real posts." in text) == sample


def hard(text: str, label: str) -> dict[str, Any]:
    """A page's posts, of which all that can be anything is this."""
    one = post(text, id=text, y_true=label, y_pred=label, against=label, words=[[0, 2, 1.5], [3, 5, -0.5]])
    alike = {side: {"id": text, "text": text, "y_true": label, "y_pred": label} for side in ("one", "other")}
    return {"posts": [one, one], "alike": [{"similarity": 0.5} | alike], "labels": [label, "pythön"]}


def test_whatever_a_post_a_label_or_an_id_says_is_text(reports: Path) -> None:
    root = read(made(**hard(HARD, LABELS[0]), source=HARD))
    plain = read(made(**hard("a harmless post", LABELS[0])))

    assert shape(root) == shape(plain)
    assert [script.text for script in root.all("script")] == [(page.HERE / "page.js").read_text()]
    assert root.one("h1").text == root.one("title").text == f"{HARD}: what came out"
    for row in root.one("table", id="posts").one("tbody").all("tr"):
        assert [cell.text for cell in row.all("td")[:3]] == [LABELS[0], LABELS[0], "0.988"]
        assert shown(row) == HARD
        assert [mark.text for mark in row.all("mark")] == [HARD[:2], HARD[3:5]]
        assert row.one("span").text == HARD
        assert [row.attributes[f"data-{name}"] for name in ("y_true", "y_pred")] == [LABELS[0]] * 2
    for cell in root.one("section", id="alike").all("td"):
        assert cell.one("div").text == cell.all("span")[1].text == HARD
        assert cell.all("span")[0].text == f"{LABELS[0]}, predicted {LABELS[0]}"
    assert [option.text for option in root.one("select", id="y_true").all("option")] == ["any label", *LABELS]
    assert root.one("section", id="fails").one("tbody").all("th")[0].text == LABELS[0]


def test_a_label_that_is_a_script_is_text_in_the_pictures_too(reports: Path) -> None:
    pictures = read(made()).all("svg")

    assert len(pictures) == 8
    assert sum(text.text == LABELS[0] for picture in pictures for text in picture.all("text")) == 2  # of the matrix
    assert not any(element.tag in ("script", "image", "img", "!--") for svg in pictures for element in svg.iter())


def test_no_attribute_calls_anything(reports: Path) -> None:
    attributes = {name for element in read(made(**hard(HARD, LABELS[0]))).iter() for name in element.attributes}

    assert attributes
    assert not {name for name in attributes if name.startswith("on") or name in ("src", "action", "srcdoc")}


def test_only_the_pages_own_script_may_run(reports: Path) -> None:
    root = read(made(**hard(HARD, LABELS[0])))

    policy = root.one("meta", **{"http-equiv": "Content-Security-Policy"}).attributes["content"] or ""
    digest = base64.b64encode(hashlib.sha256(root.one("script").text.encode()).digest()).decode()
    assert dict(rule.split(" ", 1) for rule in policy.split("; ")) == {
        "default-src": "'none'", "style-src": "'unsafe-inline'", "script-src": f"'sha256-{digest}'",
    }  # fmt: skip


def test_it_names_no_other_host_and_no_other_file(reports: Path) -> None:
    text = made([post()])

    assert set(re.findall(r"\w*://[^\"'\s<]*", text)) == {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert all(link.startswith("#") for link in re.findall(r'href="([^"]*)"', text))
    assert all(link.startswith("#") for link in re.findall(r"url\(([^)]*)", text))
    assert "@import" not in text


def test_its_links_lead_to_its_sections(reports: Path) -> None:
    root = read(made())

    links = [link.attributes["href"] for link in root.one("nav").all("a")]
    assert links == [f"#{section.attributes['id']}" for section in root.all("section")]


def test_the_script_finds_all_that_it_looks_for(reports: Path) -> None:
    root = read(made([post()]))
    script = root.one("script").text

    ids = re.findall(r'"(\w+)"', re.findall(r"\[(.*)\]\.map", script)[0]) + re.findall(r'ById\("(\w+)"\)', script)
    assert ids == ["kind", "y_true", "y_pred", "count"]
    assert all(len([each for each in root.iter() if each.attributes.get("id") == id]) == 1 for id in ids)
    kinds = [option.attributes["value"] for option in root.one("select", id="kind").all("option")]
    assert kinds == re.findall(r"^  (\w+): \(row\) =>", script, flags=re.MULTILINE)
    (row,) = root.one("table", id="posts").one("tbody").all("tr")
    assert {f"data-{name}" for name in re.findall(r"\brow\.(?:dataset\.)?(\w+)", script)} - {
        "data-dataset", "data-hidden",
    } == set(row.attributes)  # fmt: skip
    assert (row.attributes["data-network"], row.attributes["data-baseline"]) == ("wrong", "right")


def test_a_label_with_blanks_is_chosen_by_the_name_that_its_posts_have(reports: Path) -> None:
    label = " two  blanks "  # of an option's text a browser leaves these out

    root = read(made([post(y_true=label, y_pred=label)], labels=[label, "pythön"]))

    (row,) = root.one("table", id="posts").one("tbody").all("tr")
    for name in ("y_true", "y_pred"):
        values = [option.attributes["value"] for option in root.one("select", id=name).all("option")]
        assert values == ["", label, "pythön"]
        assert row.attributes[f"data-{name}"] == label


def test_marked_are_the_words_that_moved_the_answer_with_their_share_of_the_largest(reports: Path) -> None:
    (row,) = rows(made([post(words=[[0, 4, -0.5], [7, 11, 2.0], [15, 20, 0.1]])]))

    assert shown(row) == WORDS
    assert marks(row) == [("sort", 0.25, True), ("dict", 1.0, False), ("value", 0.05, False)]


def test_of_two_words_the_one_that_moved_more_is_marked_more_whatever_its_direction(reports: Path) -> None:
    words = ["one", "two", "three", "four", "five", "six", "seven"]
    moved = [0.3, -0.1, 2.5, -3.0, 1.1, -0.6, 0.02]
    text = " ".join(words)
    spans = [[text.index(word), text.index(word) + len(word), share] for word, share in zip(words, moved, strict=True)]

    (row,) = rows(made([post(text, words=spans)]))

    by_share = sorted(marks(row), key=lambda mark: mark[1])
    assert [mark[0] for mark in by_share] == ["seven", "two", "one", "six", "five", "three", "four"]
    assert [mark[2] for mark in by_share] == [False, True, False, True, False, False, True]


def test_marks_stand_right_beside_each_other_and_after_characters_of_any_width(reports: Path) -> None:
    text = "\n 🎄é<&>f(x)"

    (row,) = rows(made([post(text, words=[[7, 8, 1.0], [8, 9, -1.0], [9, 10, 0.5]])]))

    assert shown(row) == text
    assert [mark[0] for mark in marks(row)] == ["f", "(", "x"]


def test_a_post_that_nothing_moved_is_shown_without_marks(reports: Path) -> None:
    (row,) = rows(made([post(words=[])]))

    assert (shown(row), marks(row)) == (WORDS, [])


def test_a_post_that_is_cut_says_so_and_words_beyond_are_not_marked(reports: Path) -> None:
    text = "dict " * 299 + "word1 word2"  # `word1` ends where 1500 characters do
    words = [[0, 4, 1.0], [1495, 1500, -2.0], [1501, 1506, 4.0]]

    cut, whole = rows(made([post(text, words=words), post(text[:1500], words=words[:2])]))

    assert shown(cut) == text[:1500] + " …"
    assert marks(cut) == [("dict", 0.25, False), ("word1", 0.5, True)]
    assert shown(whole) == text[:1500]
    assert marks(whole) == [("dict", 0.5, False), ("word1", 1.0, True)]


def test_a_word_that_the_cut_goes_through_is_not_marked(reports: Path) -> None:
    (row,) = rows(made([post("a" * 1498 + "dict", words=[[1498, 1502, 1.0]])]))

    assert (shown(row), marks(row)) == ("a" * 1498 + "di …", [])


@pytest.mark.parametrize("length", [1500, 1501])
def test_posts_that_are_alike_are_cut_as_well_and_say_so(reports: Path, length: int) -> None:
    sides = [{"id": f"{n}.txt", "text": "<" * length, "y_true": f"l{n}", "y_pred": f"p{n}"} for n in (1, 2)]
    pair = {"similarity": 0.98765, "one": sides[0], "other": sides[1]}

    section = read(made(alike=[pair])).one("section", id="alike")

    assert section.one("th").text == "0.99 alike: l1 and l2"
    assert [div.text for div in section.all("div") if not div.attributes] == [
        "<" * 1500 + (" …" if length > 1500 else "")
    ] * 2
    assert [span.text for span in section.all("span")] == ["l1, predicted p1", "1.txt", "l2, predicted p2", "2.txt"]


def test_where_no_posts_are_alike_it_says_so(reports: Path) -> None:
    assert "No two posts of different labels share a word." in read(made()).one("section", id="alike").text


@pytest.mark.parametrize("text", ["🎄" * 2000, '&"' * 1000, "a" * 2000], ids=["tree", "quotes", "a"])
def test_of_very_many_mistakes_the_first_have_room_and_it_says_how_many_they_are(reports: Path, text: str) -> None:
    words = [[place, place + 1, 1.0] for place in range(0, 1500, 100)]
    made([post(text, id=str(number), words=words) for number in range(2500)], mistakes=2500)

    size = (reports / "report.html").stat().st_size
    there = re.findall(r'<span class="id soft">(\d+)</span>', (reports / "report.html").read_text(encoding="utf-8"))
    assert 2_000_000 < size < 5_000_000
    assert there == [str(number) for number in range(len(there))]
    said = f"{len(there):,} of its 2,500 mistakes are here"
    assert said in (reports / "report.html").read_text(encoding="utf-8")


def test_what_is_no_mistake_has_room_before_the_last_mistakes(reports: Path) -> None:
    long = [post("a" * 1500, id=f"{number}", words=[[0, 1, 1.0]]) for number in range(3000)]
    right = post("b", id="right", y_true="pythön", words=[])

    text = made([*long, right])

    there = re.findall(r'<span class="id soft">(\w+)</span>', text)
    assert there == [*(str(number) for number in range(len(there) - 1)), "right"]
    assert 1000 < len(there) < 3000


def test_where_all_posts_have_room_none_is_said_to_be_left_out(reports: Path) -> None:
    text = made([post()] * 3, mistakes=3)

    assert len(rows(text)) == 3
    assert read(text).one("output").text == "3 posts"
    assert "Of its 3 mistakes" in text
    assert "are here" not in text


def test_the_same_inputs_give_the_same_bytes_and_others_give_others(reports: Path) -> None:
    first, other, again = (made([post(words=words)]) for words in ([[0, 4, 1.0]], [[0, 4, -1.0]], [[0, 4, 1.0]]))

    assert again == first != other


def test_pieces_put_together_are_the_text() -> None:
    rng = random.Random(1)
    for _ in range(200):
        text = "".join(rng.choices("ab <&\n🎄", k=rng.randint(0, 30)))
        borders = sorted(rng.sample(range(40), 8))
        spans = zip(borders[::2], borders[1::2], strict=True)
        words = [(begin, end, rng.uniform(-3, 3)) for begin, end in spans]

        pieces = list(page.pieces(text, words))

        assert "".join(piece for piece, _ in pieces) == text
        marked = [piece for piece, share in pieces if share is not None]
        assert marked == [text[begin:end] for begin, end, _ in words if end <= len(text)]
        assert all(-1 <= share <= 1 for _, share in pieces if share is not None)


def test_a_label_that_is_named_as_a_colour_keeps_its_name(reports: Path) -> None:
    svg = '<svg><text style="fill: #000000">#000000</text></svg>'
    (reports / "named.svg").write_text(svg, encoding="utf-8")

    assert page.picture("named.svg") == '<svg><text style="fill: currentColor">#000000</text></svg>'


def test_a_picture_is_taken_in_without_its_ground_and_in_the_pages_colours(reports: Path) -> None:
    before = (reports / "evaluation/plots/coverage.svg").read_text(encoding="utf-8")

    svg = page.picture("evaluation/plots/coverage.svg")

    assert "#ffffff" in before
    assert "#000000" in before
    assert svg.startswith("<svg ")
    assert "#ffffff" not in svg
    assert svg.count("currentColor") == before.count("#000000")
    root, whole = read(svg), read(before[before.index("<svg") :])
    assert [text.text for text in root.all("text")] == [text.text for text in whole.all("text")]
    assert len(root.all("path")) == len(whole.all("path")) - 1
    assert not root.all("metadata")
    # What is drawn with `use` is there.
    ids = {element.attributes["id"] for element in root.iter() if "id" in element.attributes}
    used = {(use.attributes["xlink:href"] or "").removeprefix("#") for use in root.all("use")}
    assert used
    assert used <= ids


def test_predictions_are_those_of_the_classifier_a_row_per_post(reports: Path) -> None:
    (reports / "evaluation/classifier/predictions.csv").write_text(
        'id,actual,predicted,probability_a\n"1,\n2",a,"ü ""b""",0.5\n3,b,b,0.25\n', encoding="utf-8"
    )

    assert page.predictions() == [
        {"id": "1,\n2", "y_true": "a", "y_pred": 'ü "b"', "probability_a": "0.5"},
        {"id": "3", "y_true": "b", "y_pred": "b", "probability_a": "0.25"},
    ]
