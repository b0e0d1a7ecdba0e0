"""The two names of a result: the hash of its inputs, known before training, and the hash of its files."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from pipeline.files import read_json
from pipeline.params import Params

SPLIT = Path("reports/split.json")
METRICS = "reports/metrics.json"
MODEL = "models/model.onnx"  # its metadata contain the digests of the other files that it needs
RESULT_FILES = [
    METRICS,
    MODEL,
    "models/baseline.safetensors",
    "models/ngram_features.safetensors",
    "models/tokenizer.json",
]
LATER_STAGES = ("explain", "plot", "track")  # they describe a result and do not change it


def result_inputs(config: Params) -> dict[str, Any]:
    """All that determines a result: `params`, the `corpus_digest`, and the sha256 of each file of `code`.

    The code is that of the stages up to `evaluate`, as dvc.yaml lists it. Neither where the examples were fetched from
    nor where runs are logged to is part of it, nor are the criteria of the registry.
    """
    stages = YAML(typ="safe").load(Path("dvc.yaml"))["stages"]
    deps = {Path(dep) for name, stage in stages.items() if name not in LATER_STAGES for dep in stage.get("deps", [])}
    code = {file for dep in deps if dep.parts[0] == "pipeline" for file in files_of(dep)}
    return {
        "params": config.model_dump(exclude={"fetch", "track", "registry"}),
        "corpus_digest": read_json(SPLIT)["corpus"]["digest"],
        "code": {path.as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(code)},
    }


def files_of(path: Path) -> list[Path]:
    """The path itself, or all files of a folder, without Python's caches."""
    if not path.is_dir():
        return [path]
    return [file for file in path.rglob("*") if file.is_file() and "__pycache__" not in file.parts]


def inputs_hash(inputs: Mapping[str, Any]) -> str:
    """sha256 of `result_inputs`."""
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()


def result_hash(md5s: Mapping[str, str]) -> str:
    """sha256 of the md5 digests of `RESULT_FILES` by path, from the files themselves or from a `dvc.lock`.

    The hash of the inputs alone does not identify a result: another machine or other versions of the libraries can
    make another result of the same inputs.
    """
    return hashlib.sha256("".join(f"{path} {md5s[path]}\n" for path in RESULT_FILES).encode()).hexdigest()


def md5(path: Path) -> str:
    """The digest under which DVC keeps the file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()
