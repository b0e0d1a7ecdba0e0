"""params.yaml, typed and strict: one section per stage, one for the registry of models, unknown keys refused."""

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from pipeline.stage import Stop

PARAMS = Path("params.yaml")


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Fetch(Section):
    source: str = Field(min_length=1)
    digest: str | None = Field(pattern="^[0-9a-f]{64}$")
    sample_posts: int = Field(ge=80, le=10_000_000)
    sample_seed: int = Field(ge=0)


class Split(Section):
    validation: float = Field(gt=0, lt=1)
    test: float = Field(gt=0, lt=1)
    seed: int = Field(ge=0, lt=2**32)


class Vectorize(Section):
    tokenizer: Literal["words", "code", "bpe"]
    vocabulary: int = Field(ge=3, le=1_000_000)
    max_tokens: int = Field(ge=1, le=100_000)


class Baseline(Section):
    ngrams: int = Field(ge=1, le=3)
    min_posts: int = Field(ge=1)
    character_min_posts: int = Field(ge=1)
    C: float = Field(gt=0)


class Train(Section):
    seed: int = Field(ge=0, lt=2**32)

    embedding: int = Field(ge=1, le=4096)
    vectors: Literal["random", "posts"]
    ngrams: int = Field(ge=0, le=3)
    ngram_min_posts: int = Field(ge=1)
    character_ngrams: bool
    character_min_posts: int = Field(ge=1)
    cell: Literal["gru", "lstm", "rnn"]
    reset_after: bool
    layers: int = Field(ge=1, le=16)
    bidirectional: bool
    units: int = Field(ge=1, le=4096)
    mask: bool
    pooling: Literal["last", "max", "mean", "max_mean", "attention"]
    wide: bool
    temperature_scaling: bool

    word_dropout: float = Field(ge=0, lt=1)
    embedding_dropout: float = Field(ge=0, lt=1)
    spatial_dropout: float = Field(ge=0, lt=1)
    ngram_dropout: float = Field(ge=0, lt=1)
    recurrent_dropout: float = Field(ge=0, lt=1)
    dropout: float = Field(ge=0, lt=1)
    label_smoothing: float = Field(ge=0, lt=1)

    optimizer: Literal["adam", "rmsprop"]
    learning_rate: float = Field(gt=0, le=1)
    schedule: Literal["constant", "cosine"]
    clip_norm: float | None = Field(gt=0)
    weight_averaging: float = Field(ge=0, lt=1)
    batch: int = Field(ge=1, le=65_536)
    epochs: int = Field(ge=1, le=10_000)
    patience: int | None = Field(ge=1, le=10_000)

    @model_validator(mode="after")
    def combinations(self) -> Self:
        if not self.reset_after and self.cell != "gru":
            raise ValueError(f"reset_after: false is a kind of GRU, and cell is {self.cell}; set reset_after to true")
        return self


class Track(Section):
    experiment: str = Field(min_length=1)


class Registry(Section):
    # What MLflow takes for a name, less the blank and the @ that tells an alias.
    model: str = Field(pattern=r"^\w[\w.-]*$", max_length=200)
    level: float = Field(gt=0, lt=1)
    margin: float = Field(ge=0, lt=1)
    class_margin: float = Field(ge=0, le=1)
    latency: float = Field(gt=0)
    size: float = Field(gt=0)
    tolerance: float = Field(ge=0, le=1)


class Params(Section):
    fetch: Fetch
    split: Split
    vectorize: Vectorize
    baseline: Baseline
    train: Train
    track: Track
    registry: Registry


def load(path: Path = PARAMS) -> Params:
    """Read and check the whole of params.yaml.

    Every stage checks all sections, so that a mistake in the last one stops the first one.
    Raises Stop with one sentence that names the key and what is allowed.
    """
    try:
        # YAML 1.2, as DVC reads it: `1e-3` is a number here and a string to a YAML 1.1 reader.
        values = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise Stop(f"{path} is missing; run this from the repository's top folder") from None
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f", line {mark.line + 1}" if mark else ""
        raise Stop(f"{path} is not valid YAML{where}: {error.problem or error.context}") from None
    except (YAMLError, UnicodeDecodeError) as error:
        raise Stop(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None
    try:
        return Params.model_validate(values)
    except ValidationError as error:
        raise Stop(f"{path}: {sentence(error)}") from None


def sentence(error: ValidationError) -> str:
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
