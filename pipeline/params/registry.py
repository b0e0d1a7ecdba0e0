"""`params.yaml`, section `registry`: the gate of the model registry."""

from pydantic import Field

from pipeline.params.section import Section


class Registry(Section):
    # What MLflow takes for a name, less the blank and the @ that tells an alias.
    model: str = Field(pattern=r"^\w[\w.-]*$", max_length=200)
    significance_level: float = Field(gt=0, lt=1)
    margin: float = Field(ge=0, lt=1)
    class_margin: float = Field(ge=0, le=1)
    max_latency_ms: float = Field(gt=0)
    max_size_mb: float = Field(gt=0)
    tolerance: float = Field(ge=0, le=1)
