"""git, called as a command."""

import functools
import os
import subprocess
from pathlib import Path


def run_git(*arguments: str, folder: Path | None = None, **environment: str) -> str:
    """git's output without the last newline; empty if git fails.

    `folder` is another repository to run it in; `environment` are variables for git.
    """
    process = subprocess.run(
        ["git", *arguments],
        cwd=folder,
        env=(environment_elsewhere() if folder else os.environ) | environment,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
    )
    return process.stdout.rstrip("\n") if process.returncode == 0 else ""


def refusal() -> str | None:
    """Why git does not read this repository, with git's own remedy: it belongs to another user. None if git does."""
    process = subprocess.run(
        ["git", "rev-parse", "--git-dir"],
        env=os.environ | {"LC_ALL": "C"},  # in English
        capture_output=True,
        encoding="utf-8",
        errors="replace",
    )
    if "dubious ownership" not in process.stderr:
        return None
    remedy = next((line.strip() for line in process.stderr.splitlines() if "safe.directory" in line), "")
    return f"git does not read this repository, which belongs to another user; `{remedy}` lets it"


def environment_elsewhere(**changes: str) -> dict[str, str]:
    """The environment for a command that works on another repository than this one, with `changes`.

    git sets variables such as GIT_DIR and GIT_INDEX_FILE for its hooks. A git or DVC process that inherited them would
    read and write this repository, whatever folder it runs in.
    """
    return {name: value for name, value in os.environ.items() if name not in repository_variables()} | changes


@functools.cache
def repository_variables() -> frozenset[str]:
    """The names of the environment variables that belong to one repository."""
    listed = subprocess.run(["git", "rev-parse", "--local-env-vars"], capture_output=True, text=True, check=True)
    return frozenset(listed.stdout.split())
