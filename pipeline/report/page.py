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
from pipeline.report.summary import verdict

HERE = Path(__file__).parent
REPORTS = Path("reports")
TEXT = 1500  # characters of a post
ROWS = 3_000_000  # bytes of the table of posts, at most: a page is to open in any mail


def write(
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
    split, figures, trained, posts = (read(name) for name in ("split", "metrics", "train", "posts"))
    # Whatever a post or a label says, it is text: all that is put into the page is escaped.
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    script = (HERE / "page.js").read_text(encoding="utf-8")
    rows = list(shown(posts["posts"]))
    page = environment.get_template("page.html").render(
        split=split, figures=figures, trained=trained, names={name: NAMES[name] for name in NAMES if name in figures},
        verdict=verdict(figures["mcnemar"]), champion=champion, standing=standing,
        lineage=lineage, parameters=parameters,
        labels=[row["label"] for row in figures["labels"]],
        rows=rows, mistakes=posts["mistakes"], left_out=len(posts["posts"]) - len(rows), alike=posts["alike"],
        cut=TEXT, figure=figure, picture=picture,
        script=Markup(script), digest=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )  # fmt: skip
    path.write_text(page, encoding="utf-8")


def read(name: str) -> Any:
    return json.loads((REPORTS / f"{name}.json").read_text(encoding="utf-8"))


def predictions() -> list[dict[str, str]]:
    """The classifier's, a row per test post."""
    with (REPORTS / "evaluation/classifier/predictions.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def shown(posts: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """The posts with their text in pieces, as long as they have room in the page."""
    size = 0
    for post in posts:
        parts = list(pieces(post["text"][:TEXT], post["words"]))
        # `<` takes four characters in HTML, and a word that is marked some fifty.
        size += sum(len(Markup.escape(text).encode()) + 50 for text, _ in parts) + 500
        if size > ROWS:
            return
        yield {**post, "pieces": parts, "is_cut": len(post["text"]) > TEXT}


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


def figure(value: float, name: str, digits: int = 4) -> Markup:
    """A figure as it is read, and as `reports/metrics.json` has it under that name."""
    return Markup('<data value="{}" data-figure="{}">{}</data>').format(value, name, f"{value:.{digits}f}")


def picture(path: str) -> Markup:
    """An SVG of `reports/` as a part of the page: without a ground of its own, and in the page's colour of text."""
    svg = (REPORTS / path).read_text(encoding="utf-8")
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'<g id="background">.*?</g>', "", svg, count=1, flags=re.DOTALL)
    svg = re.sub(r'<g id="[^"]*">', "<g>", svg)
    return Markup(re.sub('style="[^"]*"', lambda style: style[0].replace("#000000", "currentColor"), svg))
