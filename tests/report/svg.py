"""What stands in an SVG."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

SVG = "{http://www.w3.org/2000/svg}"


def elements(path: Path, kind: str, within: str | None = None) -> list[Element]:
    """All of that kind, in order, or those of the group whose id begins so."""
    root: Element = ElementTree.parse(path).getroot()
    if within:
        (root,) = (group for group in root.iter(f"{SVG}g") if (group.get("id") or "").startswith(within))
    return list(root.iter(f"{SVG}{kind}"))


def texts(path: Path, within: str | None = None) -> list[str]:
    return ["".join(text.itertext()) for text in elements(path, "text", within)]


def legend(path: Path) -> list[str]:
    return texts(path, "legend_1")


def tags(path: Path) -> set[str]:
    return {element.tag for element in ElementTree.parse(path).iter()}


def draw(folder: Path, pictures: Mapping[str, tuple[Callable[[Path], None], Callable[[Path], None]]]) -> Path:
    """The folder with each picture; in `other/` is the other one of its kind, and in `again/` the same once more."""
    for name, (one, other) in pictures.items():
        for place, kind in (("", one), ("other", other), ("again", one)):
            kind(folder / place / f"{name}.svg")
    return folder


def assert_no_date_no_raster_and_no_way_out(path: Path) -> None:
    there = tags(path)
    assert f"{SVG}path" in there
    assert f"{SVG}image" not in there
    assert not any(tag.endswith("}date") for tag in there)
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"\d{4}-\d\d-\d\d", text)
    assert all(link.startswith("#") for link in re.findall(r'href="([^"]*)"', text))
