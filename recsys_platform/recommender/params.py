"""What a parameter of a model may be: types that pydantic checks where the file of variants is read."""

from typing import Annotated

from pydantic import Field

Count = Annotated[int, Field(ge=1)]
Components = Annotated[int, Field(ge=1, le=4096)]
"""How long vectors are: more than this gains nothing, and many times more fits into no memory."""
Seed = Annotated[int, Field(ge=0)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
UpToOne = Annotated[float, Field(ge=0, le=1)]
HalfLife = Annotated[float, Field(gt=0)]
"""`.inf` in the file: nothing ever counts less."""
Share = Annotated[float, Field(gt=0, lt=1)]
"""A part of a whole, neither none nor all of it."""
