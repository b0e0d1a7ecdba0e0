"""What a result was made from and by: git commit and patch, DVC experiment, person, machine and libraries."""

import getpass
import os
import platform
import subprocess
import tempfile
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from pipeline.tracking.git import run_git

# What determines a result. The rest stays out of the patch: DVC itself changes dvc.lock and reports/ while stages run.
SOURCES = ["pipeline", "params.yaml", "dvc.yaml", "requirements.txt"]
COMMIT, BRANCH, DIRTY = "mlflow.source.git.commit", "mlflow.source.git.branch", "git.dirty"
EXPERIMENT, USER = "dvc.experiment", "mlflow.user"


def git_tags() -> dict[str, str]:
    """The tags of a run for the commit, its branch, whether the sources differ from it, and the DVC experiment.

    Without a commit, only the experiment.
    """
    tags = {EXPERIMENT: os.environ.get("DVC_EXP_NAME", "")}
    if commit := head():
        branch = run_git("symbolic-ref", "--quiet", "--short", "HEAD")
        tags |= {COMMIT: commit, BRANCH: branch, DIRTY: str(bool(uncommitted_patch())).lower()}
    return {name: value for name, value in tags.items() if value}


def head() -> str:
    """The commit that is checked out; empty if there is none."""
    return run_git("rev-parse", "--verify", "--quiet", "HEAD")


def uncommitted_patch() -> bytes:
    """The patch with which `git apply` turns the commit into the sources that ran, new files included."""
    if not head():
        return b""
    with tempfile.TemporaryDirectory() as folder:
        # A copy of the index, so that the user's own stays as it is.
        copy, index = Path(folder, "index"), Path(run_git("rev-parse", "--git-path", "index"))
        if index.exists():
            copy.write_bytes(index.read_bytes())
        sources = [path for path in SOURCES if Path(path).exists() or run_git("ls-files", "--", path)]
        run_git("add", "--all", "--", *sources, GIT_INDEX_FILE=str(copy))
        # A patch that can be applied, whatever format of differences the user has configured.
        plain = ["--no-ext-diff", "--no-textconv", "--no-color", "--src-prefix=a/", "--dst-prefix=b/"]
        command = ["git", "diff-index", "--cached", "--patch", "--binary", *plain, "HEAD", "--", *SOURCES]
        environment = os.environ | {"GIT_INDEX_FILE": str(copy)}
        return subprocess.run(command, capture_output=True, env=environment).stdout


def user_name() -> str:
    """The person: `user.name` of git, else the login name."""
    if name := run_git("config", "user.name"):
        return name
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return f"user {os.getuid()}"


def describe_machine() -> dict[str, Any]:
    """What a training runs on; its bytes can depend on each of these."""
    return {
        "system": platform.platform(),
        "processor": processor_name(),
        "cores": os.cpu_count(),
        "threads": n_threads(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "python": platform.python_version(),
        "libraries": dict(sorted({each.name.lower(): each.version for each in distributions()}.items())),
    }


def n_threads() -> int:
    """The threads that the numeric libraries compute with: OMP_NUM_THREADS, else the cores this process may use."""
    if (number := os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]).isdecimal():
        return int(number)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processor_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:  # not Linux
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
