"""`params.yaml`, section `split`: how they are split."""

from pydantic import Field

from pipeline.params.section import Section


class Split(Section):
    validation_size: float = Field(gt=0, lt=1)
    test_size: float = Field(gt=0, lt=1)
    seed: int = Field(ge=0, lt=2**32)
