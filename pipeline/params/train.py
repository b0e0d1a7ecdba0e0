"""`params.yaml`, section `train`: the network and its training."""

from typing import Literal, Self

from pydantic import Field, model_validator

from pipeline.params.section import Section


class Train(Section):
    seed: int = Field(ge=0, lt=2**32)

    embedding_dim: int = Field(ge=1, le=4096)
    token_vectors: Literal["random", "cooccurrence"]
    max_ngram: int = Field(ge=0, le=3)
    ngram_min_df: int = Field(ge=1)
    char_ngrams: bool
    char_min_df: int = Field(ge=1)
    cell: Literal["gru", "lstm", "rnn"]
    reset_after: bool
    num_layers: int = Field(ge=1, le=16)
    bidirectional: bool
    units: int = Field(ge=1, le=4096)
    mask: bool
    pooling: Literal["last", "max", "mean", "max_mean", "attention"]
    ensemble_with_baseline: bool
    temperature_scaling: bool

    word_dropout: float = Field(ge=0, lt=1)
    embedding_dropout: float = Field(ge=0, lt=1)
    spatial_dropout: float = Field(ge=0, lt=1)
    ngram_dropout: float = Field(ge=0, lt=1)
    recurrent_dropout: float = Field(ge=0, lt=1)
    dropout: float = Field(ge=0, lt=1)
    label_smoothing: float = Field(ge=0, lt=1)
    class_weight: Literal["none", "sqrt", "balanced"]

    optimizer: Literal["adam", "rmsprop"]
    learning_rate: float = Field(gt=0, le=1)
    learning_rate_schedule: Literal["constant", "cosine"]
    clip_norm: float | None = Field(gt=0)
    ema_momentum: float = Field(ge=0, lt=1)
    batch_size: int = Field(ge=1, le=65_536)
    epochs: int | None = Field(ge=1, le=10_000)
    patience: int | None = Field(ge=1, le=10_000)

    @model_validator(mode="after")
    def check_reset_after(self) -> Self:
        if not self.reset_after and self.cell != "gru":
            raise ValueError(f"reset_after: false is for a GRU, but cell is {self.cell}; set reset_after to true")
        return self
