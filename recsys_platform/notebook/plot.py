"""A plot that a notebook shows below its cell."""

from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["Plot"]


@dataclass(frozen=True)
class Plot:
    """A picture as PNG bytes; a notebook draws it if it is the last value of a cell."""

    png: bytes = field(repr=False)

    def save(self, path: str | Path) -> None:
        """Write the picture to a PNG file."""
        Path(path).write_bytes(self.png)

    def _repr_png_(self) -> bytes:
        """What IPython shows."""
        return self.png
