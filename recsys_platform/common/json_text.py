"""Parse JSON with numbers of any length."""

import json
from typing import Any

_LONGEST_INTEGER = 4000  # digits


def read_json(text: str | bytes) -> Any:
    """Parse JSON. Integers of 4,000 digits or more become floats, since Python refuses those of more than 4,300."""
    return json.loads(text, parse_int=_parse_integer)


def _parse_integer(digits: str) -> int | float:
    return int(digits) if len(digits) < _LONGEST_INTEGER else float(digits)
