"""The two names of a result: the key of what determines it, known before training, and the digest of what came out."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from yaml import YAML

from pipeline.params import Params

SPLIT = Path("reports/split.json")
METRICS = "reports/metrics.json"
MODEL = "models/model.onnx"  # its metadata hold the digests of the files it needs
RESULT_FILES = [
    METRICS,
    MODEL,
    "models/baseline.safetensors",
    "models/ngram_features.safetensors",
    "models/tokenizer.json",
]


def result_inputs(params: Params) -> dict[str, Any]:
    """All that determines the result: parameters, the posts' content digest, each file of code that `dvc.yaml` names.

    Where posts come from is no part of it (the same posts by another path give the same result), nor is where runs go,
    nor what is asked of a model afterwards.
    """
    stages = YAML(typ="safe").load(Path("dvc.yaml"))["stages"]
    deps = {Path(dep) for stage in stages.values() for dep in stage.get("deps", []) if str(dep).startswith("pipeline/")}
    code = {file for dep in deps for file in (dep.rglob("*.py") if dep.is_dir() else [dep])}
    return {
        "params": params.model_dump(exclude={"fetch", "track", "registry"}),
        "posts": json.loads(SPLIT.read_text())["corpus"]["digest"],
        "code": {path.as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(code)},
    }


def inputs_hash(what: Mapping[str, Any]) -> str:
    """sha256 of the ingredients."""
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()


def result_hash(md5s: Mapping[str, str]) -> str:
    """sha256 of the digests of figures and model files, by path: of a folder's files, or as a `dvc.lock` names them.

    Not the key alone names a result: another machine or other versions of the libraries make another one of the same
    ingredients.
    """
    return hashlib.sha256("".join(f"{path} {md5s[path]}\n" for path in RESULT_FILES).encode()).hexdigest()


def md5(path: Path) -> str:
    """As DVC has it, so that a `dvc.lock` and DVC's cache can be asked for the same file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()
