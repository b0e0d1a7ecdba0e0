"""`params.yaml`, section `vectorize`: the tokenizer."""

from typing import Literal

from pydantic import Field

from pipeline.params.section import Section


class Vectorize(Section):
    tokenizer: Literal["words", "code", "bpe"]
    vocab_size: int = Field(ge=3, le=1_000_000)
    max_length: int = Field(ge=1, le=100_000)
