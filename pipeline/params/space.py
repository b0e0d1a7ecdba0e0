"""The search space of a sweep: `train.units=32..128`, `train.learning_rate=1e-4..1e-2:log`, `train.cell=gru,lstm`.

`a..b` is a range (`:log` on a logarithmic scale), `a,b,c` are choices, and a single value is the same in all trials.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pipeline.cli import UserError
from pipeline.params import Params, describe_error

NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"

Values = Mapping[str, Any]  # {"train.units": 64}
Space = dict[str, BaseDistribution]


def flatten(params: Params) -> dict[str, Any]:
    """All parameters as `{"train.units": 64}`."""
    sections = params.model_dump().items()
    return {f"{section}.{name}": value for section, values in sections for name, value in values.items()}


def split_arguments(arguments: Sequence[str]) -> dict[str, str]:
    """`["train.units=32..128"]` as `{"train.units": "32..128"}`. Raises UserError."""
    texts: dict[str, str] = {}
    for argument in arguments:
        name, equals, text = argument.partition("=")
        if not equals:
            raise UserError(f"{name} has no values; write for example train.units=32..128 or train.cell=gru,lstm")
        if name in texts:
            raise UserError(f"{name} is given twice; give all its values at once")
        texts[name] = text
    return texts


def parse_space(texts: Mapping[str, str], current: Values) -> Space:
    """The distributions; each of their values is valid in params.yaml. A trial shows whether they are valid together.

    Raises UserError for a value that is not valid, and for a parameter that would make trials incomparable.
    """
    space = {name: parse_distribution(name, text, current) for name, text in texts.items()}
    for name, distribution in space.items():
        for value in extremes(distribution):
            error = validation_error(current, {name: value})
            if error and error.errors()[0]["type"] != "value_error":
                raise UserError(describe_error(error))
        if name.startswith("track."):
            raise UserError(f"{name} says where runs are logged, and cannot be searched; set it in params.yaml")
        if name.startswith(("fetch.", "split.")) and not distribution.single():
            raise UserError(f"{name} changes the data that trials are compared on; give it a single value")
    return space


def parse_distribution(name: str, text: str, current: Values) -> BaseDistribution:
    """`32..128`, `1e-4..1e-2:log` or `gru,lstm` as a distribution. Raises UserError."""
    yaml = YAML(typ="safe")
    if match := re.fullmatch(rf"({NUMBER})\.\.({NUMBER})(:log)?", text):
        low, high, log = yaml.load(match[1]), yaml.load(match[2]), bool(match[3])
        if low >= high:
            raise UserError(f"{name}={text} is not a range; give the lower number first")
        if log and low <= 0:
            raise UserError(f"{name}={text} cannot be on a logarithmic scale; begin above 0")
        # 0..5 has fractions in between if the parameter may be one.
        if isinstance(low, int) and isinstance(high, int) and validation_error(current, {name: low + 0.5}):
            return IntDistribution(low, high, log=log)
        return FloatDistribution(low, high, log=log)
    try:
        return CategoricalDistribution(list(dict.fromkeys(yaml.load(f"[{text}]"))))
    except (YAMLError, TypeError, ValueError):  # not YAML, a list or a mapping, or no value at all
        raise UserError(
            f"{name}={text} is neither a range (32..128, 1e-4..1e-2:log) nor a list of choices (gru,lstm)"
        ) from None


def extremes(distribution: BaseDistribution) -> tuple[Any, ...]:
    """The choices, or the lowest and the highest value."""
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices
    assert isinstance(distribution, IntDistribution | FloatDistribution)
    return distribution.low, distribution.high


def contains(distribution: BaseDistribution, value: Any) -> bool:
    if isinstance(distribution, CategoricalDistribution):
        return value in distribution.choices
    return value is not None and extremes(distribution)[0] <= value <= extremes(distribution)[1]


def validation_error(current: Values, changes: Values) -> ValidationError | None:
    """The error of the parameters' model for these changes; None if they are valid."""
    sections: dict[str, dict] = {}
    for key, value in {**current, **changes}.items():
        section, _, name = key.partition(".")
        sections.setdefault(section, {})[name] = value
    try:
        Params.model_validate(sections)
    except ValidationError as error:
        return error
    return None


def format_values(values: Values, width: int = 0) -> str:
    """`train.units=64 train.cell=gru`"""
    return " ".join(f"{key}={format_value(value):<{width}}" for key, value in values.items())


def format_value(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else value if isinstance(value, str) else json.dumps(value)
