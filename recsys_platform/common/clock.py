"""The current time, always in UTC.

Timestamps in the warehouse have no time zone: `naive_utc_now` is the time to write there, `utc_now` is for everything else.
"""

import datetime as dt

SIMULATED_TIME = "x-simulated-time"
"""Header by which a simulated reader tells the API its time, where the API was started for a simulation."""
SIMULATED_DAYS = "/simulated-days"
"""Path under which simulated readers tell such an API that a day begins: `POST /simulated-days/2026-11-03`."""


def utc_now() -> dt.datetime:
    """The current time with its time zone, UTC."""
    return dt.datetime.now(dt.UTC)


def naive_utc_now() -> dt.datetime:
    """The current time in UTC without a time zone, as timestamps are stored."""
    return to_naive_utc(utc_now())


def to_naive_utc(moment: dt.datetime) -> dt.datetime:
    """A time with a time zone as UTC without one."""
    return moment.astimezone(dt.UTC).replace(tzinfo=None)


def utc_today() -> dt.date:
    """The current date in UTC."""
    return utc_now().date()
