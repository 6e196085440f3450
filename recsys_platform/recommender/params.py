"""Types of model parameters, which pydantic validates when variants.yaml is read."""

from typing import Annotated

from pydantic import Field

Count = Annotated[int, Field(ge=1)]
Components = Annotated[int, Field(ge=1, le=4096)]
"""Length of vectors: more gains nothing, and far more does not fit into memory."""
Seed = Annotated[int, Field(ge=0)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
UpToOne = Annotated[float, Field(ge=0, le=1)]
HalfLife = Annotated[float, Field(gt=0)]
"""`.inf` in the file means no decay."""
Share = Annotated[float, Field(gt=0, lt=1)]
"""A share, above 0 and below 1."""
