"""README.md, CONTRIBUTING.md, CHANGELOG.md and docs/: what they link to and mention exists, and the site builds."""

import importlib.util
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Any, Literal, get_args, get_origin

import pytest
from pydantic.fields import FieldInfo
from ruamel.yaml import YAML

from pipeline.params import Params

ROOT = Path(__file__).parent.parent
PAGES = [*(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")), *sorted(ROOT.glob("docs/*.md"))]
LINK = re.compile(r"\]\((?!https?:|mailto:)([^)#\s]*)(?:#([^)\s]*))?\)")
ROW = re.compile(r"^\| `(\w+\.\w+)` \| `([^`]*)` \| ([^|]*) \| ([^|]+) \|$", re.MULTILINE)
MAY_HAVE_ANY_TEXT = {
    "fetch.source",
    "fetch.digest",
    "track.experiment",
    "registry.model",
    *(f"fetch.{name}" for name in ("text", "label", "split", "id", "encoding")),
}


def without_code(markdown: str) -> str:
    return re.sub(r"^```.*?^```$", "", markdown, flags=re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub and MyST make them."""
    headings = re.findall(r"^#+ (.+)$", without_code(page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def mentioned(pattern: str) -> dict[str, str]:
    """What the pages mention by this pattern, each with the name of a page that does."""
    return {name: page.name for page in PAGES for name in re.findall(pattern, page.read_text(encoding="utf-8"))}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_relative_links_lead_somewhere(page: Path) -> None:
    broken = []
    for path, anchor in LINK.findall(without_code(page.read_text(encoding="utf-8"))):
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(f"{path}#{anchor}")

    assert broken == []


def test_code_files_that_are_mentioned_exist() -> None:
    files = mentioned(r"`((?:pipeline|tests|docs|benchmarks|\.ci|\.github)/[\w./-]+)`")
    assert files

    assert {name: page for name, page in files.items() if not (ROOT / name).exists()} == {}


def test_modules_that_are_mentioned_exist() -> None:
    modules = mentioned(r"python -m (pipeline\.[\w.]*\w)")
    assert modules

    missing = {name: page for name, page in modules.items() if importlib.util.find_spec(name) is None}
    assert missing == {}


def test_make_targets_that_are_mentioned_exist() -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))

    mentions = mentioned(r"(?:^|`)make ([a-z][\w-]*)") | mentioned(r"(?m)^make ([a-z][\w-]*)")
    assert {name: page for name, page in mentions.items() if name not in targets} == {}


def test_output_files_that_are_mentioned_are_outputs_of_a_stage() -> None:
    stages = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"]
    outs = {"reports/report.html", "reports/model_card.md"}  # `track` writes them outside of DVC
    for stage in stages.values():
        for out in (each for kind in ("outs", "metrics", "plots") for each in stage.get(kind, [])):
            outs.add(next(iter(out)) if isinstance(out, dict) else out)
    inside = (*(f"{out}/" for out in outs), "data/downloads/")

    files = mentioned(r"`((?:data|models|reports)/[\w./-]*\.[a-z]+)`")
    assert files
    assert {name: page for name, page in files.items() if name not in outs and not name.startswith(inside)} == {}


def test_parameters_page_has_every_parameter_with_its_default() -> None:
    values = YAML(typ="safe").load(ROOT / "params.yaml")
    expected = {f"{section}.{name}": value for section, all in values.items() for name, value in all.items()}

    rows = ROW.findall((ROOT / "docs/parameters.md").read_text(encoding="utf-8"))

    assert {name: YAML(typ="safe").load(default) for name, default, _, _ in rows} == expected
    assert [name for name, *_ in rows] == list(expected)  # in the same order


def test_parameters_page_says_what_is_allowed() -> None:
    rows = ROW.findall((ROOT / "docs/parameters.md").read_text(encoding="utf-8"))
    fields = {
        f"{section}.{name}": field
        for section, of_section in Params.model_fields.items()
        for name, field in of_section.annotation.model_fields.items()  # type: ignore[union-attr]
    }

    allowed = {name: sorted(text.split(", ")) for name, _, text, _ in rows if name not in MAY_HAVE_ANY_TEXT}

    assert allowed == {name: sorted(describe(field)) for name, field in fields.items() if name not in MAY_HAVE_ANY_TEXT}


def describe(field: FieldInfo) -> Iterator[str]:
    """What a parameter may be, in parts: `above 0`, `below 1`; or its choices."""
    types = get_args(field.annotation) if get_origin(field.annotation) is UnionType else (field.annotation,)
    limits: dict[str, Any] = {
        name: value for limit in field.metadata for name, value in vars_of(limit).items() if value is not None
    }
    if get_origin(types[0]) is Literal:
        yield from (f"`{choice}`" for choice in get_args(types[0]))
    elif types[0] is bool:
        yield from ("`true`", "`false`")
    elif limits.get("lt") == 2**32:
        yield f"{limits['ge']} to {2**32 - 1:,}"
    elif limits.keys() == {"ge", "le"}:
        yield f"{plain(limits['ge'])} to {plain(limits['le'])}"
    else:
        words = {"ge": "{} or more", "gt": "above {}", "le": "up to {}", "lt": "below {}"}
        yield from (words[name].format(plain(value)) for name, value in limits.items())
    if type(None) in types:
        yield "or `null`"


def vars_of(limit: Any) -> dict[str, Any]:
    return {name: getattr(limit, name) for name in ("ge", "gt", "le", "lt") if hasattr(limit, name)}


def plain(value: float) -> str:
    return f"{value:,}" if value >= 10_000 else f"{value:g}"


def test_site_builds_without_a_warning_and_loads_nothing_from_the_web(tmp_path: Path) -> None:
    pytest.importorskip("sphinx", reason="the documentation's packages are not installed")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-n", "-q", "-b", "html", "docs", str(tmp_path)]

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    pages = sorted(tmp_path.glob("*.html"))
    assert len(pages) >= len(list(ROOT.glob("docs/*.md")))
    for page in pages:
        html = page.read_text(encoding="utf-8")
        assert re.findall(r"<(?:script|img|link|iframe)[^>]*(?:src|href)=\"(?:https?:)?//[^\"]+\"", html) == [], (
            page.name
        )
