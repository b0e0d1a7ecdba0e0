"""The key of a result: a digest of all that determines it, known before training starts."""

import hashlib
import json
from pathlib import Path

from ruamel.yaml import YAML

from pipeline.params import Params

SPLIT = Path("reports/split.json")


def result_key(params: Params) -> str:
    """sha256 of the parameters, the data's content digest, and the code that `dvc.yaml` says the result depends on.

    Where the tracked run goes (the section `track`, and the stage of that name) is not part of the result.
    """
    stages = YAML(typ="safe").load(Path("dvc.yaml"))["stages"]
    deps = {Path(dep) for name, stage in stages.items() if name != "track" for dep in stage["deps"]}
    code = {file for dep in deps for file in ([dep] if dep.suffix == ".py" else dep.rglob("*.py"))}
    what = {
        "params": params.model_dump(exclude={"track"}),
        "data": json.loads(SPLIT.read_text())["corpus"]["digest"],
        "code": {path.as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(code)},
    }
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()
