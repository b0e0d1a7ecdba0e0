"""The result of a commit or an experiment, as its dvc.lock describes it, and whether DVC's cache has its files."""

import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from pipeline.tracking import hashes, revisions


def git(*arguments: str) -> str:
    author = ("-c", "user.name=test", "-c", "user.email=test@example.com")
    return subprocess.run(["git", *author, *arguments], check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture(autouse=True)
def repository(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty repository, with an empty DVC cache."""
    git("init", "--quiet", "--initial-branch", "trunk")
    monkeypatch.setattr(revisions, "cache_folder", lambda: workspace / "cache")
    return workspace


def lock() -> str:
    return Path("dvc.lock").read_text()


def commit_result(model: str, evaluated: str | None, files: list[str] = hashes.RESULT_FILES) -> str:
    """Commit a dvc.lock with the trained `model`, and an evaluation of the model `evaluated`, if any."""
    outs = [{"path": path, "md5": model if path == hashes.MODEL else "0"} for path in files]
    stages = {"train": {"outs": [out for out in outs if out["path"] != hashes.METRICS]}}
    if evaluated:
        deps = [{"path": hashes.MODEL, "md5": evaluated}]
        stages["evaluate"] = {"deps": deps, "outs": [out for out in outs if out["path"] == hashes.METRICS]}
    YAML().dump({"schema": "2.0", "stages": stages}, Path("dvc.lock"))
    git("add", "dvc.lock")
    git("commit", "--quiet", "--message", model)
    return git("rev-parse", "HEAD")


def test_result_of_a_lock_is_that_of_the_files_it_describes() -> None:
    commit = commit_result("a" * 32, evaluated="a" * 32)

    md5s = {path: "a" * 32 if path == hashes.MODEL else "0" for path in hashes.RESULT_FILES}
    assert revisions.read_result(commit) == revisions.Result(
        "a" * 32, True, hashes.result_hash(md5s), revisions.recipe_hash(lock())
    )


def test_evaluation_of_another_model_is_not_of_this_one() -> None:
    commit = commit_result("b" * 32, evaluated="a" * 32)

    assert revisions.read_result(commit) == revisions.Result("b" * 32, False, None, revisions.recipe_hash(lock()))


def test_result_with_other_files_has_no_result_hash() -> None:
    commit = commit_result("a", evaluated="a", files=[hashes.METRICS, hashes.MODEL])

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
def test_recipe_is_of_parameters_and_code(stage: dict, changes: bool) -> None:
    def written(stage: dict) -> str:
        YAML().dump({"schema": "2.0", "stages": {"train": stage}}, Path("dvc.lock"))
        return lock()

    assert (revisions.recipe_hash(written(stage)) != revisions.recipe_hash(written({}))) == changes


def test_newest_of_two_experiments_with_one_name_is_taken_and_both_are_results() -> None:
    first, second = commit_result("a", evaluated="a"), commit_result("b", evaluated="b")
    for commit in (second, first):
        git("update-ref", f"refs/exps/{commit[:2]}/{commit[2:]}/wide", commit)

    assert [name for name, _, _ in revisions.all_results()].count("wide") == 2
    assert set(revisions.experiments()) == {"wide"}


def test_result_that_a_merge_took_nothing_from_is_found(workspace: Path) -> None:
    commit_result("a", evaluated="a")
    git("checkout", "--quiet", "-b", "side")
    side = commit_result("b", evaluated="b")
    git("checkout", "--quiet", "trunk")
    commit_result("c", evaluated="c")
    git("merge", "--quiet", "--strategy", "ours", "--message", "merge", "side")
    git("branch", "--quiet", "-D", "side")

    assert side in revisions.commits()


@pytest.mark.parametrize("lock", [None, "", "no: lock", "[", "schema: '2.0'\nstages: {train: {outs: [{path: x}]}}"])
def test_commit_without_a_result_has_none(lock: str | None) -> None:
    if lock is not None:
        Path("dvc.lock").write_text(lock)
    git("add", "--all")
    git("commit", "--quiet", "--message", "start")

    assert revisions.read_result("HEAD") is None
    assert list(revisions.all_results()) == []


def test_commits_of_all_branches_and_experiments_are_found_by_their_names() -> None:
    first = commit_result("a", evaluated="a")
    git("checkout", "--quiet", "-b", "side")
    second = commit_result("b", evaluated="b")
    git("checkout", "--quiet", "trunk")
    git("checkout", "--quiet", "--detach")
    third = commit_result("c", evaluated=None)
    git("update-ref", f"refs/exps/{first[:2]}/{first[2:]}/wide-net", third)
    git("update-ref", "refs/exps/exec/EXEC_HEAD", third)
    git("checkout", "--quiet", "trunk")

    results = [(name, commit, result.model_md5) for name, commit, result in revisions.all_results()]

    assert results == [(first[:10], first, "a"), (second[:10], second, "b"), ("wide-net", third, "c")]
    assert revisions.experiments() == {"wide-net": third}
    assert revisions.commit_of("wide-net") == third
    assert revisions.commit_of("side") == revisions.commit_of(second[:8]) == second
    assert revisions.commit_of("nobody") is None


def test_results_are_limited_to_locks_that_contain_a_text() -> None:
    commit_result("a", evaluated="a")
    commit_result("bbbb", evaluated="bbbb")

    assert [result.model_md5 for _, _, result in revisions.all_results("bbbb")] == ["bbbb"]


# What DVC's cache lacks


def add_to_cache(md5: str, content: str = "") -> None:
    path = Path("cache/files/md5", md5[:2], md5[2:])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


def commit_outputs(**stages: dict[str, str]) -> str:
    """Commit a dvc.lock with these outputs of stages: `train={"models/model.onnx": md5}`."""
    entries = {name: {"outs": [{"path": p, "md5": md5} for p, md5 in outs.items()]} for name, outs in stages.items()}
    evaluated = stages.get("train", {}).get(hashes.MODEL, "")
    entries.setdefault("evaluate", {})["deps"] = [{"path": hashes.MODEL, "md5": evaluated}]
    YAML().dump({"schema": "2.0", "stages": entries}, Path("dvc.lock"))
    git("add", "--all")
    git("commit", "--quiet", "--message", "result")
    return git("rev-parse", "HEAD")


def test_outputs_that_neither_git_nor_the_cache_has_are_missing() -> None:
    Path("reports").mkdir()
    Path("reports/metrics.json").write_text("{}")  # in git
    Path(".gitignore").write_text("cache\n")
    outputs = {hashes.MODEL: "aa11", "models/tokenizer.json": "bb22"}
    commit = commit_outputs(train=outputs, evaluate={"reports/metrics.json": "cc33"})

    assert revisions.missing_files(commit) == [hashes.MODEL, "models/tokenizer.json"]

    add_to_cache("aa11")

    assert revisions.missing_files(commit) == ["models/tokenizer.json"]

    add_to_cache("bb22")

    assert revisions.missing_files(commit) == []


def test_folder_is_missing_until_the_cache_has_all_of_its_files() -> None:
    commit = commit_outputs(split={"data/split": "dd44.dir"}, train={hashes.MODEL: "aa11"})
    add_to_cache("aa11")

    assert revisions.missing_files(commit) == ["data/split"]

    add_to_cache("dd44.dir", '[{"md5": "ee55", "relpath": "train.parquet"}]')

    assert revisions.missing_files(commit) == ["data/split"]

    add_to_cache("ee55")

    assert revisions.missing_files(commit) == []


def test_what_is_made_anew_or_of_another_model_is_not_missing() -> None:
    commit = commit_outputs(source={"data/source.json": "ff66"}, train={hashes.MODEL: "aa11"})
    add_to_cache("aa11")

    assert revisions.missing_files(commit) == []

    stages = YAML(typ="safe").load(Path("dvc.lock"))["stages"]
    stages["evaluate"] = {"deps": [{"path": hashes.MODEL, "md5": "old"}], "outs": [{"path": "x", "md5": "77"}]}
    YAML().dump({"schema": "2.0", "stages": stages}, Path("dvc.lock"))
    git("commit", "--quiet", "--all", "--message", "trained alone")

    assert revisions.missing_files("HEAD") == []


def test_dvc_names_its_cache(monkeypatch: pytest.MonkeyPatch, workspace: Path) -> None:
    monkeypatch.undo()
    monkeypatch.chdir(workspace)
    subprocess.run([sys.executable, "-m", "dvc", "init", "--quiet"], check=True)

    assert revisions.cache_folder() == workspace / ".dvc/cache"
