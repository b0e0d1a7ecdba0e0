"""The plots of dvc.yaml: DVC fills each template with the rows of one revision or two, and each chart has titles."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dvc_render.vega_templates import TEMPLATES
from ruamel.yaml import YAML

from tests.repository import environment

ROOT = Path(__file__).parent.parent
PLOTS: dict[str, dict] = {
    name: plot for each in YAML(typ="safe").load(ROOT / "dvc.yaml")["plots"] for name, plot in each.items()
}


def values(chart: Any, key: str) -> Iterator[Any]:
    """All values of a key, at any depth of a chart."""
    if isinstance(chart, dict):
        if key in chart:
            yield chart[key]
        for part in chart.values():
            yield from values(part, key)
    elif isinstance(chart, list):
        for part in chart:
            yield from values(part, key)


def names(chart: Any, key: str) -> set[str]:
    return {name for value in values(chart, key) for name in ([value] if isinstance(value, str) else value)}


def render(repository: Path, *arguments: str) -> dict[str, dict]:
    """The charts that `dvc plots` makes, with their rows; asserts that none fails."""
    command = ["dvc", "plots", *arguments, "--json"]
    output = subprocess.run(command, cwd=repository, env=environment(), stdout=subprocess.PIPE, check=True).stdout
    result = json.loads(output)
    assert result.get("errors", []) == []
    assert all(len(filled) == 1 for filled in result["data"].values())
    return {name: filled[0]["content"] for name, filled in result["data"].items()}


@pytest.fixture(scope="module")
def shown(first_result: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict]:
    return render(first_result, "show", "--out", str(tmp_path_factory.mktemp("plots")))


@pytest.fixture(scope="module")
def compared(first_result: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict]:
    return render(first_result, "diff", "HEAD", "workspace", "--out", str(tmp_path_factory.mktemp("plots")))


def without_rows(chart: dict) -> dict:
    return {key: part for key, part in chart.items() if key != "data"}


@pytest.mark.slow
def test_every_plot_is_shown(shown: dict[str, dict]) -> None:
    assert list(shown) == list(PLOTS)


@pytest.mark.slow
@pytest.mark.parametrize("name", PLOTS)
def test_chart_has_rows_a_title_and_titles_of_its_axes(shown: dict[str, dict], name: str) -> None:
    chart = shown[name]
    title = chart["title"] if isinstance(chart["title"], str) else chart["title"]["text"]

    assert chart["data"]["values"]
    assert title == PLOTS[name]["title"]
    for axis in ("x", "y"):
        assert any(encoding.get("title") for encoding in values(chart, axis) if isinstance(encoding, dict))
    assert "<DVC_METRIC" not in json.dumps(chart)


@pytest.mark.slow
@pytest.mark.parametrize("name", PLOTS)
def test_chart_draws_columns_of_its_rows(shown: dict[str, dict], name: str) -> None:
    rows, chart = shown[name]["data"]["values"], without_rows(shown[name])

    drawn, folded, derived = (names(chart, key) for key in ("field", "fold", "as"))

    assert drawn
    assert (drawn | folded) - derived <= set(rows[0])


@pytest.mark.slow
@pytest.mark.parametrize("name", PLOTS)
def test_comparison_tells_two_revisions_apart(compared: dict[str, dict], name: str) -> None:
    rows, chart = compared[name]["data"]["values"], without_rows(compared[name])

    assert {row["rev"] for row in rows} == {"HEAD", "workspace"}
    assert "rev" in names(chart, "field")


def test_templates_are_those_that_are_used() -> None:
    used = {plot["template"] for plot in PLOTS.values()}

    assert {path.stem for path in (ROOT / ".dvc/plots").iterdir()} == used - {each.DEFAULT_NAME for each in TEMPLATES}
