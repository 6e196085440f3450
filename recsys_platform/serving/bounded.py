"""A mapping of bounded size."""

from collections import OrderedDict
from typing import Any, Generic, TypeVar

Value = TypeVar("Value")


class Bounded(OrderedDict[Any, Value], Generic[Value]):
    """A mapping that forgets what was set longest ago."""

    def __init__(self, most: int) -> None:
        """`most`: how many entries are kept."""
        super().__init__()
        self._most = most

    def keep(self, key: Any, value: Value) -> None:
        """Set an entry."""
        self[key] = value
        if len(self) > self._most:
            self.popitem(last=False)
