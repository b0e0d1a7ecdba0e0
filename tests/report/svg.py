"""Read SVG charts."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

SVG = "{http://www.w3.org/2000/svg}"


def elements(path: Path, tag: str, group: str | None = None) -> list[Element]:
    """All elements of that tag, in order, or those of the one group whose id begins with `group`."""
    root: Element = ElementTree.parse(path).getroot()
    if group:
        (root,) = (each for each in root.iter(f"{SVG}g") if (each.get("id") or "").startswith(group))
    return list(root.iter(f"{SVG}{tag}"))


def texts(path: Path, group: str | None = None) -> list[str]:
    return ["".join(text.itertext()) for text in elements(path, "text", group)]


def legend(path: Path) -> list[str]:
    return texts(path, "legend_1")


def tags(path: Path) -> set[str]:
    return {element.tag for element in ElementTree.parse(path).iter()}


def draw(folder: Path, charts: Mapping[str, tuple[Callable[[Path], None], Callable[[Path], None]]]) -> Path:
    """Draw each chart into the folder, the other one of its kind into `other/`, and the first one into `again/`."""
    for name, (first, other) in charts.items():
        for subfolder, plot in (("", first), ("other", other), ("again", first)):
            plot(folder / subfolder / f"{name}.svg")
    return folder


def assert_has_no_date_image_or_external_link(path: Path) -> None:
    names = tags(path)
    assert f"{SVG}path" in names
    assert f"{SVG}image" not in names
    assert not any(name.endswith("}date") for name in names)
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"\d{4}-\d\d-\d\d", text)
    assert all(link.startswith("#") for link in re.findall(r'href="([^"]*)"', text))
