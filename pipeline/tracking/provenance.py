"""Where a result comes from, as its run tells: commit and patch, DVC experiment, machine and libraries, data sets."""

import json
import os
import platform
import subprocess
import tempfile
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from mlflow.entities import Dataset, DatasetInput, InputTag

from pipeline.tracking import hashes

# What makes results. Not the rest: DVC itself changes dvc.lock and reports/ while stages run.
MAKING = ["pipeline", "params.yaml", "dvc.yaml", "requirements.txt"]
SCHEMA = json.dumps({"mlflow_colspec": [{"name": name, "type": "string"} for name in ("id", "text", "label")]})
COMMIT, BRANCH, DIRTY = "mlflow.source.git.commit", "mlflow.source.git.branch", "git.dirty"
EXPERIMENT = "dvc.experiment"


def git_tags() -> dict[str, str]:
    """The commit, its branch, whether what makes results differed from it, and DVC's experiment.

    Without those of git where git knows no commit.
    """
    found = {EXPERIMENT: os.environ.get("DVC_EXP_NAME", "")}
    if commit := git("rev-parse", "--verify", "--quiet", "HEAD"):
        branch = git("symbolic-ref", "--quiet", "--short", "HEAD")
        found |= {COMMIT: commit, BRANCH: branch, DIRTY: str(bool(uncommitted_patch())).lower()}
    return {name: value for name, value in found.items() if value}


def uncommitted_patch() -> bytes:
    """What `git apply` makes of the commit to get what ran, new files included; empty where nothing differs."""
    if not git("rev-parse", "--verify", "--quiet", "HEAD"):
        return b""
    with tempfile.TemporaryDirectory() as folder:
        # In a copy of the index, so that the user's own stays as it is.
        copy, index = Path(folder, "index"), Path(git("rev-parse", "--git-path", "index"))
        if index.exists():
            copy.write_bytes(index.read_bytes())
        there = [path for path in MAKING if Path(path).exists() or git("ls-files", "--", path)]
        git("add", "--all", "--", *there, GIT_INDEX_FILE=str(copy))
        # Whatever the user's settings have git show of a difference, this one must be applied.
        plain = ["--no-ext-diff", "--no-textconv", "--no-color", "--src-prefix=a/", "--dst-prefix=b/"]
        command = ["git", "diff-index", "--cached", "--patch", "--binary", *plain, "HEAD", "--", *MAKING]
        environment = os.environ | {"GIT_INDEX_FILE": str(copy)}
        return subprocess.run(command, capture_output=True, env=environment).stdout


def git(*arguments: str, **environment: str) -> str:
    """What git answers, without the last line's end; empty where it refuses."""
    answer = subprocess.run(
        ["git", *arguments], capture_output=True, encoding="utf-8", errors="replace", env=os.environ | environment
    )
    return answer.stdout.rstrip("\n") if answer.returncode == 0 else ""


def describe_machine() -> dict[str, Any]:
    """What a training runs on: its bytes can depend on each of these."""
    return {
        "system": platform.platform(),
        "processor": processor_name(),
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "python": platform.python_version(),
        "libraries": dict(sorted({each.name.lower(): each.version for each in distributions()}.items())),
    }


def processor_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:  # not Linux
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def dataset_inputs(names: dict[str, str]) -> list[DatasetInput]:
    """`{"train": "training"}`, file and what it is for, as MLflow's inputs.

    Their digests are those under which DVC keeps the files.
    """
    split = json.loads(hashes.SPLIT.read_text())
    inputs = []
    for name, context in names.items():
        path = Path(f"data/split/{name}.parquet")
        if not path.exists():  # not brought back from DVC's cache, as nothing that runs needed it
            continue
        dataset = Dataset(
            name=f"{split['corpus']['source']} {name}",
            digest=hashes.md5(path),
            source_type="local",
            source=json.dumps({"uri": path.as_posix()}),
            schema=SCHEMA,
            profile=json.dumps({"num_rows": split["posts"][name]}),
        )
        inputs.append(DatasetInput(dataset, [InputTag("mlflow.data.context", context)]))
    return inputs
