"""Which model is asked beside the one that answers, and how often, from one YAML file.

Belongs here: reading and validating that file. Does not: asking (shadow.py).
"""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from recsys_platform.common.errors import RecsysError
from recsys_platform.common.validation import first_problem

_DEALT = 1 << 32


class ShadowError(RecsysError):
    """The file of shadow traffic cannot be read."""


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class ShadowRule:
    """`model`: an alias or a version. `share`: of the lists that are made live."""

    model: Annotated[str, Field(min_length=1, strict=True)]
    share: Annotated[float, Field(gt=0, le=1)]

    def takes(self, seed: int) -> bool:
        """Whether a list is compared; the seed of a list is as good as random."""
        return (seed >> 13) % _DEALT < self.share * _DEALT


def parse_shadow(content: Any, *, where: str = "The shadow traffic") -> ShadowRule | None:
    """Validate the content of a file of shadow traffic; None if it is empty. Raises ShadowError."""
    if content is None:
        return None
    if not isinstance(content, Mapping):
        raise ShadowError(f"{where}: it must be a mapping with `model` and `share`.")
    try:
        return TypeAdapter(ShadowRule).validate_python(content)
    except ValidationError as error:
        raise ShadowError(f"{where}: {first_problem(error)}.") from error
