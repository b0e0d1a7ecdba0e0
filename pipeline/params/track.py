"""`params.yaml`, section `track`: where runs are logged."""

from pydantic import Field

from pipeline.params.section import Section


class Track(Section):
    experiment: str = Field(min_length=1)
    timeout: float = Field(gt=0)
