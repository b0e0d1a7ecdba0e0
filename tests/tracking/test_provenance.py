"""What a result was made from: git's commit and branch, a patch that turns the commit into what ran, and by whom."""

import subprocess
from pathlib import Path

import pytest

from pipeline.tracking import git as git_module
from pipeline.tracking import provenance


def git(*arguments: str) -> str:
    author = ("-c", "user.name=test", "-c", "user.email=test@example.com")
    return subprocess.run(["git", *author, *arguments], check=True, capture_output=True, text=True).stdout.strip()


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


def test_clean_tree_is_its_commit(repository: Path) -> None:
    commit = git("rev-parse", "HEAD")

    assert provenance.git_tags() == {provenance.COMMIT: commit, provenance.BRANCH: "trunk", provenance.DIRTY: "false"}
    assert provenance.uncommitted_patch() == b""


def test_detached_head_has_no_branch(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_EXP_NAME", "wide")
    git("checkout", "--quiet", "--detach")

    assert provenance.BRANCH not in provenance.git_tags()
    assert provenance.git_tags()[provenance.EXPERIMENT] == "wide"


def test_patch_turns_the_commit_into_what_ran_new_files_included(repository: Path, tmp_path: Path) -> None:
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


def test_without_a_commit_there_are_no_git_tags(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DVC_EXP_NAME", raising=False)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(workspace.parent))

    assert provenance.git_tags() == {}
    assert provenance.uncommitted_patch() == b""

    git("init", "--quiet")

    assert provenance.git_tags() == {}
    assert provenance.uncommitted_patch() == b""


def test_machine_has_its_libraries() -> None:
    machine = provenance.describe_machine()

    assert machine["cores"] >= 1
    assert machine["memory_gib"] > 0
    assert {"tensorflow", "numpy", "mlflow"} <= set(machine["libraries"])


@pytest.mark.parametrize(("setting", "threads"), [("1", 1), ("3,2", 3)])
def test_machine_has_the_number_of_threads_that_is_set(
    setting: str, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", setting)

    assert provenance.describe_machine()["threads"] == threads


def test_repository_of_another_user_is_told_with_gits_remedy(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert git_module.refusal() is None
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")

    refusal = git_module.refusal()

    assert refusal
    assert f"`git config --global --add safe.directory {repository}` lets it" in refusal
    assert provenance.COMMIT not in provenance.git_tags()


def test_person_is_gits_user_or_else_the_login_name(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", "/dev/null")
    monkeypatch.setattr("getpass.getuser", lambda: "ada")

    assert provenance.user_name() == "ada"

    git("config", "user.name", "Ada Lovelace")

    assert provenance.user_name() == "Ada Lovelace"


def test_person_without_a_login_name_has_a_number(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> str:
        raise OSError("no such user")

    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", "/dev/null")
    monkeypatch.setattr("getpass.getuser", fail)

    assert provenance.user_name().startswith("user ")
