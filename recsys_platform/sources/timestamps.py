"""Parse timestamps of many formats: ISO 8601, epochs by magnitude, and dates whose day-month order is detected for a whole column.

Belongs here: which formats fit a column. Does not: whether a time is plausible (file_import.py), the SQL of staging.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import duckdb
import numpy as np
import pyarrow as pa

from recsys_platform.common.errors import InputError

_DATE = r"^(\d{1,2})([./-])(\d{1,2})[./-](\d{4})(?:[T ,]|$)"
_SUFFIXES = (
    "",
    " %H:%M",
    " %H:%M:%S",
    " %H:%M:%S.%f",
    " %I:%M %p",
    " %I:%M:%S %p",
    ", %H:%M",
    ", %H:%M:%S",
    ", %I:%M %p",
    ", %I:%M:%S %p",
)
_ORDERS = {"day": "%d{0}%m{0}%Y", "month": "%m{0}%d{0}%Y"}
# Units of epochs, each in microseconds. A number has a unit if that makes it a time from 1973 to 2100, which is so for at most one
# unit.
UNITS = {"seconds": 1e6, "milliseconds": 1e3, "microseconds": 1.0, "nanoseconds": 1e-3}
_EARLIEST, _LATEST = 1e8, 4.1e9  # in seconds
_UNIT = f"case {' '.join(f'when micros(number, {factor}) then {factor}' for factor in UNITS.values())} end"
_MICROS = f"create temp macro micros(number, factor) as number * factor / 1e6 between {_EARLIEST} and {_LATEST}"
# Formats of dates written in digits only, by number of digits. Numbers of 10 and 12 digits may also be seconds and milliseconds.
_DIGITS = {
    4: ("%Y",),
    6: ("%Y%m", "%y%m%d", "%d%m%y", "%m%d%y"),
    8: ("%Y%m%d", "%d%m%Y", "%m%d%Y"),
    10: ("%Y%m%d%H",),
    12: ("%Y%m%d%H%M", "%d%m%Y%H%M", "%m%d%Y%H%M"),
    14: ("%Y%m%d%H%M%S", "%d%m%Y%H%M%S", "%m%d%Y%H%M%S"),
    17: ("%Y%m%d%H%M%S%g",),
}
_FIRST_YEAR, _LAST_YEAR = 1900, 2100
_EITHER = r"^(19[7-9]\d|20\d\d)(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])([01]\d|2[0-3])([0-5]\d)?$"

# `given` has the columns row and text, `$formats` is what `TimeFormat` found, `$date` the pattern above.
_MOMENTS = f"""
select
    row,
    case
        when $factor is not null then try(make_timestamp((number * $factor)::bigint))
        when $given is not null then try_strptime(text, $given)::timestamptz::timestamp
        when $dates and regexp_matches(text, '^\\d{{3,4}}([.]0*)?$') then try(make_date(number::int, 1, 1)::timestamp)
        when $dates and regexp_matches(text, '^\\d{{4}}-\\d\\d$') then try_cast(text || '-01' as timestamp)
        when $dates and regexp_matches(text, '^\\d{{8}}$') then try_strptime(text, '%Y%m%d')
        when number is not null then make_timestamp((number * {_UNIT})::bigint)
        when regexp_matches(text, $date) then try_strptime(text, $formats)::timestamptz::timestamp
        when regexp_matches(text, '^\\d{{4}}[-/]\\d') then try_cast(text as timestamptz)::timestamp
    end as moment
from (select *, try_cast(text as double) as number from given)
"""


_PARTS = """
with parts as (
    select text, regexp_extract(text, $date, 1)::int as one, regexp_extract(text, $date, 3)::int as two
    from given where regexp_matches(text, $date)
)
select min(text), min(text) filter (one > 12 and two <= 12), min(text) filter (two > 12 and one <= 12) from parts
"""


@dataclass(frozen=True)
class TimeFormat:
    """The format of a column's times: `given` by the user (a format or one of `UNITS`), else ISO 8601, epochs and `formats`.

    `dates`: a year or a month means its first day, and eight digits are a date.
    """

    given: str | None = None
    formats: tuple[str, ...] = ()
    dates: bool = False

    def moments(self, texts: pa.ChunkedArray) -> pa.ChunkedArray:
        """The time (UTC, without time zone) of each text; null if it cannot be parsed."""
        table = pa.table({"row": pa.array(np.arange(len(texts))), "text": texts})
        factor = UNITS.get(self.given or "")
        arguments = {
            "factor": factor,
            "given": self.given,
            "formats": list(self.formats) or ["%Y"],
            "date": _DATE,
            "dates": self.dates,
        }
        with _utc_connection() as connection:
            connection.register("given", table)
            connection.execute(_MICROS)
            sql = f"select moment from given left join ({_MOMENTS}) using (row) order by row"
            return connection.sql(sql, params=arguments).to_arrow_table().column("moment")

    def sentence(self, text: str) -> str:
        """The format of a text, for people."""
        if self.given is not None:
            return f"{self.given} since 1970" if self.given in UNITS else self.given
        try:
            number = float(text)
        except ValueError:
            return _matching_format(text, self.formats) or "ISO 8601"
        return next((f"{unit} since 1970" for unit in UNITS if _is_time(number, unit)), "a number")


def detect_time_format(
    texts: pa.ChunkedArray, *, given: str | None, name: str, where: str, dates: bool = False
) -> TimeFormat:
    """Detect the format of a column. Raises InputError if the order of day and month is ambiguous, and for an invalid `given`.

    `name`: our name of the column, for `--time-format`; `where`: its location, for messages.
    """
    if given is not None:
        _check_format(given)
        return TimeFormat(given=given)
    _refuse_either(texts, name=name, where=where)
    order = _day_month_order(texts, name=name, where=where)
    if order is None:
        return TimeFormat(dates=dates)
    formats = tuple(_ORDERS[order].format(mark) + suffix for mark in "./-" for suffix in _SUFFIXES)
    return TimeFormat(formats=formats, dates=dates)


def number_formats(text: str) -> list[str]:
    """The formats that read a number's digits as a date, for `--time-format`; empty if there is none."""
    with _utc_connection() as connection:
        found = []
        for each in _DIGITS.get(len(text), ()):
            [(read,)] = connection.execute("select try_strptime(?, ?)", [text, each]).fetchall()
            if read is not None and _FIRST_YEAR <= read.year <= _LAST_YEAR:
                found.append(each)
    return found


def _is_time(number: float, unit: str) -> bool:
    return _EARLIEST <= number * UNITS[unit] / 1e6 <= _LATEST


def _refuse_either(texts: pa.ChunkedArray, *, name: str, where: str) -> None:
    """Raise InputError if the numbers of a column can be read both as epochs and as dates written in digits."""
    with _utc_connection() as connection:
        connection.register("given", pa.table({"text": texts}))
        query = "select min(text) from given where try_cast(text as double) is not null having bool_and(regexp_matches(text, ?))"
        found = connection.execute(query, [_EITHER]).fetchone()
    if found is None or found[0] is None:
        return
    text = found[0]
    unit = next(unit for unit in UNITS if _is_time(float(text), unit))
    option = "" if name == "timestamp" else f"{name}="
    raise InputError(
        f"{where}: {text!r} can be read as {unit} since 1970 or as a date. Say which with --time-format '{option}{unit}' or "
        f"--time-format '{option}{number_formats(text)[0]}'."
    )


def _day_month_order(texts: pa.ChunkedArray, *, name: str, where: str) -> str | None:
    """Whether the day or the month comes first in all dates of a column; None if it has no such dates."""
    with _utc_connection() as connection:
        connection.register("given", pa.table({"text": texts}))
        [(first, day_first, month_first)] = connection.execute(_PARTS, {"date": _DATE}).fetchall()
    if first is None:
        return None
    if (day_first is None) != (month_first is None):
        return "day" if day_first else "month"
    day, month = (_format_of(day_first or first, "day"), _format_of(month_first or first, "month"))
    option = "" if name == "timestamp" else f"{name}="
    problem = f"{first!r} can be read with the day or the month first"
    if day_first:
        problem = f"{day_first!r} has the day first and {month_first!r} the month"
    raise InputError(
        f"{where}: {problem}. Say which with --time-format '{option}{day}' or --time-format '{option}{month}'."
    )


def _format_of(text: str, order: str) -> str:
    """The format of a text, given whether its day or its month comes first."""
    mark = next(letter for letter in text if letter in "./-")
    formats = [_ORDERS[order].format(mark) + suffix for suffix in _SUFFIXES]
    return _matching_format(text, formats) or formats[0]


def _matching_format(text: str, formats: Sequence[str]) -> str | None:
    """The first format that fits a text; None if none does."""
    with _utc_connection() as connection:
        fits = (
            each
            for each in formats
            if connection.execute("select try_strptime(?, ?)", [text, each]).fetchone() != (None,)
        )
        return next(fits, None)


def _check_format(given: str) -> None:
    if given in UNITS:
        return
    with _utc_connection() as connection:
        try:
            connection.execute("select try_strptime('', ?)", [given])
        except duckdb.Error as error:
            reason = str(error).splitlines()[0].split(": ", 1)[-1]
            raise InputError(
                f"--time-format {given!r} is not a valid time format ({reason}): write, for example, '%d.%m.%Y %H:%M'."
            ) from None
    if "%" not in given:
        raise InputError(
            f"--time-format {given!r} has no directive such as %Y: write, for example, '%d.%m.%Y %H:%M', or one of "
            f"{', '.join(UNITS)}."
        )


def _utc_connection() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(config={"threads": 2})
    connection.execute("set timezone = 'UTC'")
    return connection
