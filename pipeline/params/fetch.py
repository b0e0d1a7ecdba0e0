"""`params.yaml`, section `fetch`: where the examples come from."""

import codecs

from pydantic import Field, field_validator

from pipeline.params.section import Section


class Fetch(Section):
    source: str = Field(min_length=1)
    digest: str | None = Field(pattern="^[0-9a-f]{64}$")
    text: str | list[str] | None = Field(min_length=1)
    label: str | None = Field(min_length=1)
    split: str | None = Field(min_length=1)
    id: str | None = Field(min_length=1)
    encoding: str | None = Field(min_length=1)
    max_rejects: float = Field(ge=0, le=1)
    sample_size: int = Field(ge=80, le=10_000_000)
    sample_seed: int = Field(ge=0)

    @field_validator("encoding")
    @classmethod
    def require_encoding(cls, name: str | None) -> str | None:
        try:
            if name is not None:
                "".encode(name)
                codecs.lookup(name)
        except (LookupError, ValueError):
            raise ValueError(
                f"{name!r} is not an encoding; write for example utf-8, utf-16, latin-1 or cp1252"
            ) from None
        return name
