"""The key of a result changes with what determines the result, and with nothing else."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline import params
from pipeline.tracking import hashes


def result_key(everything: params.Params) -> str:
    return hashes.inputs_hash(hashes.result_inputs(everything))


@pytest.mark.parametrize("section", [{"train": {"units": 9}}, {"split": {"seed": 21}}, {"baseline": {"C": 2.0}}])
def test_it_changes_with_a_parameter(everything: params.Params, set_params: Callable, section: dict) -> None:
    assert result_key(set_params(**section)) != result_key(everything)


@pytest.mark.parametrize("section", [{"fetch": {"source": "elsewhere"}}, {"track": {"experiment": "another"}}])
def test_it_stays_where_the_same_posts_come_from_elsewhere_or_the_run_goes_elsewhere(
    everything: params.Params, set_params: Callable, section: dict
) -> None:
    assert result_key(set_params(**section)) == result_key(everything)


@pytest.mark.parametrize("section", [{"model": "another"}, {"level": 0.01, "latency": 5.0, "tolerance": 0.0}])
def test_it_stays_where_more_is_asked_of_a_model_afterwards(
    everything: params.Params, set_params: Callable, section: dict
) -> None:
    assert result_key(set_params(registry=section)) == result_key(everything)


def test_it_changes_with_the_posts(everything: params.Params) -> None:
    before = result_key(everything)
    split = json.loads(Path("reports/split.json").read_text())
    split["corpus"]["digest"] = "e" * 64
    Path("reports/split.json").write_text(json.dumps(split))

    assert result_key(everything) != before


@pytest.mark.parametrize(
    ("file", "changes"),
    [
        ("pipeline/train.py", True),
        ("pipeline/model/network.py", True),  # in a folder that dvc.yaml lists
        ("pipeline/track.py", False),
        ("pipeline/tracking/runs.py", False),  # tells MLflow of results, and makes none
    ],
)
def test_it_changes_with_the_code_that_makes_results(everything: params.Params, file: str, changes: bool) -> None:
    before = result_key(everything)

    Path(file).write_text("# changed\n")

    assert (result_key(everything) != before) == changes


@pytest.mark.parametrize("changed", hashes.RESULT_FILES)
def test_the_digest_changes_with_each_file_that_came_out(changed: str) -> None:
    md5s = {path: "0" * 32 for path in hashes.RESULT_FILES}

    assert hashes.result_hash(md5s | {changed: "1" * 32}) != hashes.result_hash(md5s)
    assert hashes.result_hash(md5s | {"reports/other.json": "1" * 32}) == hashes.result_hash(md5s)
