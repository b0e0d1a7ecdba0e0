"""Which result a commit or an experiment holds, as its dvc.lock says."""

import subprocess
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from pipeline.tracking import hashes, revisions


def git(*arguments: str) -> str:
    known = ("-c", "user.name=test", "-c", "user.email=test@example.com")
    return subprocess.run(["git", *known, *arguments], check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture(autouse=True)
def repository(workspace: Path) -> None:
    git("init", "--quiet", "--initial-branch", "trunk")


def lock() -> str:
    return Path("dvc.lock").read_text()


def hold(model: str, evaluated: str | None, made: list[str] = hashes.RESULT_FILES) -> str:
    """Commit a dvc.lock whose training made `model`, and whose evaluation, if there is one, was of `evaluated`."""
    outs = [{"path": path, "md5": model if path == hashes.MODEL else "0"} for path in made]
    stages = {"train": {"outs": [out for out in outs if out["path"] != hashes.METRICS]}}
    if evaluated:
        deps = [{"path": hashes.MODEL, "md5": evaluated}]
        stages["evaluate"] = {"deps": deps, "outs": [out for out in outs if out["path"] == hashes.METRICS]}
    YAML().dump({"schema": "2.0", "stages": stages}, Path("dvc.lock"))
    git("add", "dvc.lock")
    git("commit", "--quiet", "--message", model)
    return git("rev-parse", "HEAD")


def test_a_result_is_the_same_whether_a_lock_or_a_folder_is_asked() -> None:
    commit = hold("a" * 32, evaluated="a" * 32)

    md5s = {path: "a" * 32 if path == hashes.MODEL else "0" for path in hashes.RESULT_FILES}
    assert revisions.read_result(commit) == revisions.Result(
        "a" * 32, True, hashes.result_hash(md5s), revisions.recipe_hash(lock())
    )


def test_an_evaluation_of_another_model_is_none_of_this_one() -> None:
    commit = hold("b" * 32, evaluated="a" * 32)

    assert revisions.read_result(commit) == revisions.Result("b" * 32, False, None, revisions.recipe_hash(lock()))


def test_code_that_made_other_files_leaves_a_result_without_a_digest() -> None:
    commit = hold("a", evaluated="a", made=[hashes.METRICS, hashes.MODEL])

    assert revisions.read_result(commit) == revisions.Result("a", True, None, revisions.recipe_hash(lock()))


@pytest.mark.parametrize(
    ("stage", "changes"),
    [
        ({"params": {"params.yaml": {"train": {"units": 65}}}}, True),
        ({"deps": [{"path": "pipeline/train.py", "md5": "1"}]}, True),
        ({"deps": [{"path": "data/ids", "md5": "1"}]}, False),  # that shows in what came out
        ({"outs": [{"path": "models/weights.safetensors", "md5": "1"}]}, False),
    ],
)
def test_a_recipe_is_of_parameters_and_code(stage: dict, changes: bool) -> None:
    def written(stage: dict) -> str:
        YAML().dump({"schema": "2.0", "stages": {"train": stage}}, Path("dvc.lock"))
        return lock()

    assert (revisions.recipe_hash(written(stage)) != revisions.recipe_hash(written({}))) == changes


def test_of_two_experiments_with_one_name_the_newest_is_meant_and_both_are_results() -> None:
    first, second = hold("a", evaluated="a"), hold("b", evaluated="b")
    for commit in (second, first):
        git("update-ref", f"refs/exps/{commit[:2]}/{commit[2:]}/wide", commit)

    assert [name for name, _, _ in revisions.all_results()].count("wide") == 2
    assert set(revisions.experiments()) == {"wide"}


def test_a_result_that_a_merge_left_behind_is_found(workspace: Path) -> None:
    hold("a", evaluated="a")
    git("checkout", "--quiet", "-b", "side")
    side = hold("b", evaluated="b")
    git("checkout", "--quiet", "trunk")
    hold("c", evaluated="c")
    git("merge", "--quiet", "--strategy", "ours", "--message", "merge", "side")
    git("branch", "--quiet", "-D", "side")

    assert side in revisions.commits()


@pytest.mark.parametrize("lock", [None, "", "no: lock", "[", "schema: '2.0'\nstages: {train: {outs: [{path: x}]}}"])
def test_a_commit_without_a_result_has_none(lock: str | None) -> None:
    if lock is not None:
        Path("dvc.lock").write_text(lock)
    git("add", "--all")
    git("commit", "--quiet", "--message", "start")

    assert revisions.read_result("HEAD") is None
    assert list(revisions.all_results()) == []


def test_commits_of_all_branches_and_experiments_are_found_by_their_names() -> None:
    first = hold("a", evaluated="a")
    git("checkout", "--quiet", "-b", "side")
    second = hold("b", evaluated="b")
    git("checkout", "--quiet", "trunk")
    git("checkout", "--quiet", "--detach")
    third = hold("c", evaluated=None)
    git("update-ref", f"refs/exps/{first[:2]}/{first[2:]}/wide-net", third)
    git("update-ref", "refs/exps/exec/EXEC_HEAD", third)
    git("checkout", "--quiet", "trunk")

    found = [(name, commit, result.model) for name, commit, result in revisions.all_results()]

    assert found == [(first[:10], first, "a"), (second[:10], second, "b"), ("wide-net", third, "c")]
    assert revisions.experiments() == {"wide-net": third}
    assert revisions.commit_of("wide-net") == third
    assert revisions.commit_of("side") == revisions.commit_of(second[:8]) == second
    assert revisions.commit_of("nobody") is None
