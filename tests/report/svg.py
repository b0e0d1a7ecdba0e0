"""What stands in an SVG."""

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
