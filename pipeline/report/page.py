"""The page of a result, `reports/report.html`: one file that needs no network, for a screen of any size."""

import base64
import csv
import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from pipeline.report.card import NAMES
from pipeline.report.summary import describe_mcnemar

HERE = Path(__file__).parent
PICTURES = {
    "confusion": "evaluation/classifier/confusion_matrix.svg",
    **{
        name: f"evaluation/plots/{name}.svg"
        for name in ("precision_recall", "slices", "agreement", "reliability", "coverage")
    },
    "history": "history.svg",
    "gradients": "gradients.svg",
}
REPORTS = Path("reports")
TEXT = 1500  # characters of a post
LARGEST = 4_500_000  # bytes of the page, about; pictures come first, and posts as there is room left


def write_page(
    path: Path,
    lineage: Sequence[tuple[str, str]],
    parameters: Sequence[tuple[str, str]],
    champion: Mapping[str, Any] | None,
    standing: str,
) -> None:
    """Make the page out of what lies in `reports/`.

    `lineage` and `parameters` are names and values. `champion` has a `name` and its `figures`, None where there is no
    other; `standing` is a sentence on how the result stands to it.
    """
    split, figures, trained, posts = (read_report(name) for name in ("split", "metrics", "train", "posts"))
    # Whatever a post or a label says, it is text: all that is put into the page is escaped.
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    script = (HERE / "page.js").read_text(encoding="utf-8")
    pictures = {name: picture(path) for name, path in PICTURES.items()}
    rows = shown(posts["posts"], LARGEST - sum(len(drawn) for drawn in pictures.values()))
    page = environment.get_template("page.html").render(
        split=split, figures=figures, trained=trained, names={name: NAMES[name] for name in NAMES if name in figures},
        describe_mcnemar=describe_mcnemar(figures["mcnemar"]), champion=champion, standing=standing,
        lineage=lineage, parameters=parameters,
        labels=[row["label"] for row in figures["labels"]],
        rows=rows, mistakes=posts["mistakes"], shown=sum(row["y_true"] != row["y_pred"] for row in rows),
        alike=posts["alike"], cut=TEXT, figure=figure, pictures=pictures,
        script=Markup(script), digest=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )  # fmt: skip
    path.write_text(page, encoding="utf-8")


def read_report(name: str) -> Any:
    return json.loads((REPORTS / f"{name}.json").read_text(encoding="utf-8"))


def predictions() -> list[dict[str, str]]:
    """The classifier's, a row per test post."""
    with (REPORTS / "evaluation/classifier/predictions.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def shown(posts: Sequence[Mapping[str, Any]], room: int) -> list[dict[str, Any]]:
    """The posts that have room in so many bytes, with their text in pieces; the last of the mistakes make way first."""
    kept = {}
    for place, post in sorted(enumerate(posts), key=lambda each: each[1]["y_true"] != each[1]["y_pred"]):
        parts = list(pieces(post["text"][:TEXT], post["words"]))
        # `<` takes four characters in HTML, a word that is marked some fifty; a label's name stands there four times.
        room -= sum(len(Markup.escape(text).encode()) + 50 for text, _ in parts)
        room -= 500 + 2 * len((post["y_true"] + post["y_pred"]).encode())
        if room < 0:
            break
        kept[place] = {**post, "pieces": parts, "is_cut": len(post["text"]) > TEXT}
    return [kept[place] for place in sorted(kept)]


def pieces(text: str, words: Sequence[tuple[int, int, float]]) -> Iterator[tuple[str, float | None]]:
    """The text piece by piece: what moved the answer with its share of the largest, -1 to 1, all else with None."""
    most = max((abs(share) for _, _, share in words), default=1.0)
    done = 0
    for begin, end, share in words:
        if end <= len(text):
            yield text[done:begin], None
            yield text[begin:end], share / most
            done = end
    yield text[done:], None


def figure(value: float, name: str) -> Markup:
    """A figure as it is read, and as `reports/metrics.json` has it under that name."""
    return Markup('<data value="{}" data-figure="{}">{}</data>').format(value, name, f"{value:.4f}")


def picture(path: str) -> Markup:
    """An SVG of `reports/` as a part of the page: without a ground of its own, and in the page's colour of text."""
    svg = (REPORTS / path).read_text(encoding="utf-8")
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'<g id="background">.*?</g>', "", svg, count=1, flags=re.DOTALL)
    svg = re.sub(r'<g id="[^"]*">', "<g>", svg)
    return Markup(re.sub('style="[^"]*"', lambda style: style[0].replace("#000000", "currentColor"), svg))
