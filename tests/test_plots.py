"""The plots of dvc.yaml: DVC fills each template with the rows of one revision or two, and a chart says what it is."""

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


def values(spec: Any, key: str) -> Iterator[Any]:
    """What stands under a key, wherever in a chart."""
    if isinstance(spec, dict):
        if key in spec:
            yield spec[key]
        for part in spec.values():
            yield from values(part, key)
    elif isinstance(spec, list):
        for part in spec:
            yield from values(part, key)


def names(spec: Any, key: str) -> set[str]:
    return {name for value in values(spec, key) for name in ([value] if isinstance(value, str) else value)}


def charts(repository: Path, *command: str) -> dict[str, dict]:
    """Each plot's chart with its rows, as `dvc plots` fills it; none may fail."""
    asked = ["dvc", "plots", *command, "--json"]
    said = subprocess.run(asked, cwd=repository, env=environment(), stdout=subprocess.PIPE, check=True).stdout
    answer = json.loads(said)
    assert answer.get("errors", []) == []
    assert all(len(filled) == 1 for filled in answer["data"].values())
    return {name: filled[0]["content"] for name, filled in answer["data"].items()}


@pytest.fixture(scope="module")
def shown(first_result: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict]:
    return charts(first_result, "show", "--out", str(tmp_path_factory.mktemp("plots")))


@pytest.fixture(scope="module")
def compared(first_result: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict]:
    return charts(first_result, "diff", "HEAD", "workspace", "--out", str(tmp_path_factory.mktemp("plots")))


def test_every_plot_is_shown(shown: dict[str, dict]) -> None:
    assert list(shown) == list(PLOTS)


@pytest.mark.parametrize("name", PLOTS)
def test_a_chart_has_rows_a_title_and_a_title_at_each_axis(shown: dict[str, dict], name: str) -> None:
    chart = shown[name]
    title = chart["title"] if isinstance(chart["title"], str) else chart["title"]["text"]

    assert chart["data"]["values"]
    assert title == PLOTS[name]["title"]
    for axis in ("x", "y"):
        assert any(encoding.get("title") for encoding in values(chart, axis) if isinstance(encoding, dict))
    assert "<DVC_METRIC" not in json.dumps(chart)


@pytest.mark.parametrize("name", PLOTS)
def test_a_chart_draws_columns_that_its_rows_have(shown: dict[str, dict], name: str) -> None:
    rows = shown[name]["data"]["values"]
    rest = {key: part for key, part in shown[name].items() if key != "data"}

    drawn, folded, made = (names(rest, key) for key in ("field", "fold", "as"))

    assert drawn
    assert (drawn | folded) - made <= set(rows[0])


@pytest.mark.parametrize("name", PLOTS)
def test_a_comparison_tells_two_revisions_apart(compared: dict[str, dict], name: str) -> None:
    rows = compared[name]["data"]["values"]
    rest = {key: part for key, part in compared[name].items() if key != "data"}

    assert {row["rev"] for row in rows} == {"HEAD", "workspace"}
    assert "rev" in names(rest, "field")


def test_every_template_is_used_and_every_template_used_is_there() -> None:
    used = {plot["template"] for plot in PLOTS.values()}

    assert {path.stem for path in (ROOT / ".dvc/plots").iterdir()} == used - {each.DEFAULT_NAME for each in TEMPLATES}
