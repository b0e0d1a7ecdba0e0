"""git in this repository and in another one, also when a git hook runs this program."""

import os
import subprocess
from pathlib import Path

import pytest

from pipeline.tracking.git import environment_elsewhere, run_git


@pytest.fixture
def repository(workspace: Path) -> Path:
    subprocess.run(["git", "init", "--quiet"], check=True)
    return workspace


def test_output_has_no_last_newline_and_is_empty_after_a_failure(repository: Path) -> None:
    assert run_git("rev-parse", "--is-inside-work-tree") == "true"
    assert run_git("rev-parse", "--verify", "nothing") == ""


def test_another_folder_is_not_led_to_this_repository_by_variables_of_a_hook(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_DIR", str(repository / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(repository / ".git/index"))
    monkeypatch.setenv("GIT_AUTHOR_NAME", "Ada")  # of a person, not of a repository
    other = tmp_path / "other"
    other.mkdir()

    run_git("init", "--quiet", folder=other)

    assert run_git("rev-parse", "--absolute-git-dir", folder=other) == str(other.resolve() / ".git")
    assert run_git("rev-parse", "--absolute-git-dir") == str(repository.resolve() / ".git")
    environment = environment_elsewhere(DVC_ROOT="/somewhere")
    assert not {"GIT_DIR", "GIT_INDEX_FILE"} & set(environment)
    assert (environment["GIT_AUTHOR_NAME"], environment["DVC_ROOT"]) == ("Ada", "/somewhere")
    assert environment["PATH"] == os.environ["PATH"]
