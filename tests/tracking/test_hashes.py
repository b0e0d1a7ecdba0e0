"""The hash of a result's inputs changes with what determines the result, and with nothing else."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline import params
from pipeline.tracking import hashes


def inputs_hash(config: params.Params) -> str:
    return hashes.inputs_hash(hashes.result_inputs(config))


@pytest.mark.parametrize("section", [{"train": {"units": 9}}, {"split": {"seed": 21}}, {"baseline": {"C": 2.0}}])
def test_inputs_hash_changes_with_a_parameter(config: params.Params, set_params: Callable, section: dict) -> None:
    assert inputs_hash(set_params(**section)) != inputs_hash(config)


@pytest.mark.parametrize(
    "section",
    [
        pytest.param({"fetch": {"source": "elsewhere"}}, id="the same examples from another place"),
        pytest.param({"track": {"experiment": "another"}}, id="runs logged to another experiment"),
        pytest.param({"registry": {"model": "another", "significance_level": 0.01, "tolerance": 0.0}}, id="the gate"),
    ],
)
def test_inputs_hash_ignores_what_does_not_change_the_result(
    config: params.Params, set_params: Callable, section: dict
) -> None:
    assert inputs_hash(set_params(**section)) == inputs_hash(config)


def test_inputs_hash_changes_with_the_examples(config: params.Params) -> None:
    before = inputs_hash(config)
    split = json.loads(Path("reports/split.json").read_text())
    split["corpus"]["digest"] = "e" * 64
    Path("reports/split.json").write_text(json.dumps(split))

    assert inputs_hash(config) != before


@pytest.mark.parametrize(
    ("file", "changes"),
    [
        ("pipeline/train.py", True),
        ("pipeline/model/network.py", True),  # in a folder that dvc.yaml lists
        ("pipeline/corpus/sample_texts/sort.md", True),  # no Python, and in such a folder, too
        ("pipeline/model/__pycache__/network.pyc", False),
        ("pipeline/plot.py", False),  # draws a result and does not change it
        ("pipeline/track.py", False),
        ("pipeline/tracking/runs.py", False),
    ],
)
def test_inputs_hash_changes_with_the_code_that_produces_results(
    config: params.Params, file: str, changes: bool
) -> None:
    before = inputs_hash(config)

    Path(file).write_text("# changed\n")

    assert (inputs_hash(config) != before) == changes


def test_inputs_list_the_files_of_the_stages_up_to_evaluate_of_this_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path(__file__).parents[2])
    (tmp_path / "split.json").write_text('{"corpus": {"digest": "d"}}')
    monkeypatch.setattr(hashes, "SPLIT", tmp_path / "split.json")

    code = hashes.result_inputs(params.load())["code"]

    assert {"pipeline/fetch.py", "pipeline/train.py", "pipeline/evaluate.py", "pipeline/model/network.py"} <= set(code)
    assert [name for name in code if name.startswith("pipeline/corpus/sample_texts/") and name.endswith(".md")]
    others = ("pipeline/explain.py", "pipeline/plot.py", "pipeline/report/", "pipeline/tracking/", "pipeline/registry/")
    assert not [name for name in code if name.startswith(others)]


@pytest.mark.parametrize("changed", hashes.RESULT_FILES)
def test_result_hash_changes_with_each_file_of_the_result_and_no_other(changed: str) -> None:
    md5s = {path: "0" * 32 for path in hashes.RESULT_FILES}

    assert hashes.result_hash(md5s | {changed: "1" * 32}) != hashes.result_hash(md5s)
    assert hashes.result_hash(md5s | {"reports/other.json": "1" * 32}) == hashes.result_hash(md5s)
