"""Numbers, times and sizes as the commands print them."""

import datetime as dt


def counted(number: int, noun: str) -> str:
    """A number with its noun, in the plural unless it is 1.

    >>> counted(1, "object"), counted(1200, "object")
    ('1 object', '1,200 objects')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def minute_of(time: dt.datetime | None) -> str:
    """A UTC time to the minute, or `never`."""
    return f"{time:%Y-%m-%d %H:%M} UTC" if time else "never"


def age_text(age: dt.timedelta) -> str:
    """A duration in minutes, hours or days, whichever is readable."""
    hours = age.total_seconds() / 3600
    return f"{hours * 60:.0f} min" if hours < 1 else f"{hours:.0f} h" if hours < 48 else f"{hours / 24:.0f} days"


def megabytes(size: int) -> str:
    """A size in bytes as megabytes."""
    return f"{size / 1e6:,.1f} MB"
