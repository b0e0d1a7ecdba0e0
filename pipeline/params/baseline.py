"""`params.yaml`, section `baseline`: the linear baseline."""

from pydantic import Field

from pipeline.params.section import Section


class Baseline(Section):
    max_ngram: int = Field(ge=1, le=3)
    min_df: int = Field(ge=1)
    char_min_df: int = Field(ge=1)
    C: float = Field(gt=0)
