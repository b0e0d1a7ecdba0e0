"""The key of a result: a digest of all that determines it, known before training starts."""

import hashlib
import json
from pathlib import Path

from ruamel.yaml import YAML

from pipeline.params import Params

SPLIT = Path("reports/split.json")


def result_key(params: Params) -> str:
    """sha256 of the parameters, the posts' content digest, and the code that `dvc.yaml` says the result depends on.

    Where posts come from is no part of it (the same posts by another path give the same result), nor is where runs go.
    """
    stages = YAML(typ="safe").load(Path("dvc.yaml"))["stages"]
    deps = {Path(dep) for name, stage in stages.items() if name != "track" for dep in stage["deps"]}
    code = {file for dep in deps for file in (dep.rglob("*.py") if dep.is_dir() else [dep]) if is_code(file)}
    what = {
        "params": params.model_dump(exclude={"fetch", "track"}),
        "posts": json.loads(SPLIT.read_text())["corpus"]["digest"],
        "code": {path.as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(code)},
    }
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()


def is_code(path: Path) -> bool:
    """Whether the file is code that makes results: this repository's, without what tells MLflow of them."""
    return path.parts[0] == "pipeline" and path.parts[1] != "lineage"
