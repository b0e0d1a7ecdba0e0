"""Where a result comes from: git's commit and branch, and a patch that makes of the commit what ran."""

import subprocess
from pathlib import Path

import pytest

from pipeline.tracking import provenance


def git(*arguments: str) -> str:
    known = ("-c", "user.name=test", "-c", "user.email=test@example.com")
    return subprocess.run(["git", *known, *arguments], check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def repository(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one commit."""
    monkeypatch.delenv("DVC_EXP_NAME", raising=False)
    Path("pipeline").mkdir()
    Path("pipeline/train.py").write_text("units = 1\n\n\n")
    Path("notes.txt").write_text("mine\n")
    git("init", "--quiet", "--initial-branch", "trunk")
    git("add", "--all")
    git("commit", "--quiet", "--message", "start")
    return workspace


def test_a_clean_tree_is_its_commit(repository: Path) -> None:
    commit = git("rev-parse", "HEAD")

    assert provenance.git_tags() == {provenance.COMMIT: commit, provenance.BRANCH: "trunk", provenance.DIRTY: "false"}
    assert provenance.uncommitted_patch() == b""


def test_no_branch_is_told_where_there_is_none(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_EXP_NAME", "wide")
    git("checkout", "--quiet", "--detach")

    assert provenance.BRANCH not in provenance.git_tags()
    assert provenance.git_tags()[provenance.EXPERIMENT] == "wide"


def test_the_patch_makes_of_the_commit_what_ran_new_files_included(repository: Path, tmp_path: Path) -> None:
    Path("pipeline/train.py").write_text("units = 2\n\n\n")
    Path("pipeline/new.py").write_text("größe = 'new'\n")
    Path("pipeline/picture.bin").write_bytes(bytes(range(256)))
    Path("pipeline/windows.py").write_bytes(b"one\r\ntwo \xe4\r\n")
    for setting in ("diff.noprefix=true", "color.ui=always", "diff.external=false", "status.showUntrackedFiles=no"):
        git("config", *setting.split("="))
    Path("params.yaml").unlink()
    Path("notes.txt").write_text("a secret that no result depends on\n")
    before = git("status", "--porcelain")

    patch = provenance.uncommitted_patch()

    assert provenance.git_tags()[provenance.DIRTY] == "true"
    assert git("status", "--porcelain") == before  # the index, too, is as it was
    git("clone", "--quiet", str(repository), str(tmp_path / "clone"))
    subprocess.run(["git", "apply"], cwd=tmp_path / "clone", input=patch, check=True)
    for name in ("train.py", "new.py", "picture.bin", "windows.py"):
        assert (tmp_path / "clone/pipeline" / name).read_bytes() == Path("pipeline", name).read_bytes()
    assert not (tmp_path / "clone/params.yaml").exists()
    assert b"secret" not in patch


def test_where_git_knows_no_commit_nothing_is_told_of_one(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DVC_EXP_NAME", raising=False)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(workspace.parent))

    assert provenance.git_tags() == {}
    assert provenance.uncommitted_patch() == b""

    git("init", "--quiet")

    assert provenance.git_tags() == {}
    assert provenance.uncommitted_patch() == b""


def test_the_machine_is_told_with_the_libraries_that_run_there() -> None:
    told = provenance.describe_machine()

    assert told["cores"] >= 1
    assert told["memory_gib"] > 0
    assert {"tensorflow", "numpy", "mlflow"} <= set(told["libraries"])
