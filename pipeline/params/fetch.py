"""`params.yaml`, section `fetch`: where the examples come from."""

from pydantic import Field

from pipeline.params.section import Section


class Fetch(Section):
    source: str = Field(min_length=1)
    digest: str | None = Field(pattern="^[0-9a-f]{64}$")
    sample_size: int = Field(ge=80, le=10_000_000)
    sample_seed: int = Field(ge=0)
