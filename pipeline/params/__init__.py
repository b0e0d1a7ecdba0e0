"""params.yaml, typed and strict: one section per stage, one for the registry of models, unknown keys refused."""

from pathlib import Path
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from pipeline.cli import UserError
from pipeline.params.baseline import Baseline
from pipeline.params.fetch import Fetch
from pipeline.params.registry import Registry
from pipeline.params.section import Section
from pipeline.params.split import Split
from pipeline.params.track import Track
from pipeline.params.train import Train
from pipeline.params.vectorize import Vectorize

PARAMS_FILE = Path("params.yaml")


class Params(Section):
    fetch: Fetch
    split: Split
    vectorize: Vectorize
    baseline: Baseline
    train: Train
    track: Track
    registry: Registry


def load(path: Path = PARAMS_FILE) -> Params:
    """Read and check the whole of params.yaml.

    Every stage checks all sections, so that a mistake in the last one stops the first one.
    Raises Stop with one sentence that names the key and what is allowed.
    """
    try:
        # YAML 1.2, as DVC reads it: `1e-3` is a number here and a string to a YAML 1.1 reader.
        values = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} is missing; run this from the repository's top folder") from None
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f", line {mark.line + 1}" if mark else ""
        raise UserError(f"{path} is not valid YAML{where}: {error.problem or error.context}") from None
    except (YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None
    try:
        return Params.model_validate(values)
    except ValidationError as error:
        raise UserError(f"{path}: {describe_error(error)}") from None


def describe_error(error: ValidationError) -> str:
    """One of pydantic's complaints, as a sentence with the key as one writes it: `train.units`."""
    # A key that is mistyped is missing as well; the mistyped one is the one to look for.
    first = min(error.errors(), key=lambda each: each["type"] != "extra_forbidden")
    key = ".".join(map(str, first["loc"])) or "the file"
    if first["type"] == "extra_forbidden":
        where: Any = Params
        for name in first["loc"][:-1]:
            where = where.model_fields[name].annotation
        return f"{key} is not a parameter; allowed here are {', '.join(where.model_fields)}"
    if first["type"] == "missing":
        return f"{key} is missing"
    if first["type"] == "model_type":
        return f"{key} should be a section of keys and values, not {first['input']!r}"
    if first["type"] == "value_error":
        return f"{key}: {first['ctx']['error']}"
    allowed = first["msg"].removeprefix("Input ").removeprefix("String ")
    return f"{key} is {first['input']!r}, but {allowed}"
