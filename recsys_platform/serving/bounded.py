"""Mappings of bounded size."""

import threading
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


class BoundedCache(Generic[Value]):
    """Entries up to a number of bytes; what was used longest ago is forgotten first. Safe for threads."""

    def __init__(self, most_bytes: int) -> None:
        """`most_bytes`: of all entries together."""
        self._most_bytes = most_bytes
        self._entries: OrderedDict[Any, tuple[Value, int]] = OrderedDict()
        self._lock = threading.Lock()
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: Any) -> Value | None:
        """The value of an entry, which counts as used; None if there is none."""
        with self._lock:
            found = self._entries.get(key)
            if found is None:
                return None
            self._entries.move_to_end(key)
            return found[0]

    def keep(self, key: Any, value: Value, size: int) -> None:
        """Set an entry; `size`: about how many bytes it takes. One that is larger than all may be together is not kept."""
        with self._lock:
            _, before = self._entries.pop(key, (None, 0))
            self._entries[key] = (value, size)
            self.bytes += size - before
            while self.bytes > self._most_bytes:
                _, (_, oldest) = self._entries.popitem(last=False)
                self.bytes -= oldest
