"""Read JSON texts whatever numbers they hold."""

import json
from typing import Any

_LONG = 4000  # digits


def read_json(text: str | bytes) -> Any:
    """The value of a JSON text, whatever numbers it holds: Python refuses whole ones of more than 4,300 digits."""
    return json.loads(text, parse_int=_whole_number)


def _whole_number(digits: str) -> int | float:
    return int(digits) if len(digits) < _LONG else float(digits)
