"""Read times as people write them: ISO 8601, epochs by their size, and days and months in one order for a whole column.

Belongs here: which readings a column of texts allows. Does not: whether a time is allowed (replay.py), SQL of staging.
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
# Units of numbers since 1970, each with how many microseconds it is. A number is one of them if that is a time from 1973 to 2100:
# no number is that in two units.
UNITS = {"seconds": 1e6, "milliseconds": 1e3, "microseconds": 1.0, "nanoseconds": 1e-3}
_EARLIEST, _LATEST = 1e8, 4.1e9  # in seconds
_UNIT = f"case {' '.join(f'when micros(number, {factor}) then {factor}' for factor in UNITS.values())} end"
_MICROS = f"create temp macro micros(number, factor) as number * factor / 1e6 between {_EARLIEST} and {_LATEST}"
# Digits that are a date, by how many there are. Numbers of 10 and 12 digits may be seconds and milliseconds as well.
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

# `given` has the columns row and text, `$formats` is what `TimeReading` found, `$date` the pattern above.
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
class TimeReading:
    """How the texts of one column are read: `given` by the user, else `formats` for days and months, ISO and epochs.

    `given` is a format or one of `UNITS`.
    `dates`: a year is its first day, a month too, and eight digits are a day.
    """

    given: str | None = None
    formats: tuple[str, ...] = ()
    dates: bool = False

    def moments(self, texts: pa.ChunkedArray) -> pa.ChunkedArray:
        """The time (UTC, without zone) of each text; null where it cannot be read."""
        table = pa.table({"row": pa.array(np.arange(len(texts))), "text": texts})
        factor = UNITS.get(self.given or "")
        arguments = {
            "factor": factor,
            "given": self.given,
            "formats": list(self.formats) or ["%Y"],
            "date": _DATE,
            "dates": self.dates,
        }
        with _connection() as connection:
            connection.register("given", table)
            connection.execute(_MICROS)
            sql = f"select moment from given left join ({_MOMENTS}) using (row) order by row"
            return connection.sql(sql, params=arguments).to_arrow_table().column("moment")

    def sentence(self, text: str) -> str:
        """For people: how this text is read."""
        if self.given is not None:
            return f"{self.given} since 1970" if self.given in UNITS else self.given
        try:
            number = float(text)
        except ValueError:
            return _fitting(text, self.formats) or "ISO 8601"
        return next((f"{unit} since 1970" for unit in UNITS if _is_time(number, unit)), "a number")


def time_reading(
    texts: pa.ChunkedArray, *, given: str | None, name: str, where: str, dates: bool = False
) -> TimeReading:
    """How a column is read. Raises InputError where day and month could be either, and for a format that is none.

    `name`: our name of the column, for `--time-format`; `where`: how a message calls it.
    """
    if given is not None:
        _check_format(given)
        return TimeReading(given=given)
    _refuse_either(texts, name=name, where=where)
    order = _order(texts, name=name, where=where)
    if order is None:
        return TimeReading(dates=dates)
    formats = tuple(_ORDERS[order].format(mark) + suffix for mark in "./-" for suffix in _SUFFIXES)
    return TimeReading(formats=formats, dates=dates)


def number_formats(text: str) -> list[str]:
    """The formats in which the digits of a number are a date, for `--time-format`; none if they are no date."""
    with _connection() as connection:
        found = []
        for each in _DIGITS.get(len(text), ()):
            [(read,)] = connection.execute("select try_strptime(?, ?)", [text, each]).fetchall()
            if read is not None and _FIRST_YEAR <= read.year <= _LAST_YEAR:
                found.append(each)
    return found


def _is_time(number: float, unit: str) -> bool:
    return _EARLIEST <= number * UNITS[unit] / 1e6 <= _LATEST


def _refuse_either(texts: pa.ChunkedArray, *, name: str, where: str) -> None:
    """Raise where all numbers of a column are times since 1970 and dates written without marks alike."""
    with _connection() as connection:
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


def _order(texts: pa.ChunkedArray, *, name: str, where: str) -> str | None:
    """Whether the day or the month comes first in all dates of a column; None if it has none of that form."""
    with _connection() as connection:
        connection.register("given", pa.table({"text": texts}))
        [(first, day_first, month_first)] = connection.execute(_PARTS, {"date": _DATE}).fetchall()
    if first is None:
        return None
    if (day_first is None) != (month_first is None):
        return "day" if day_first else "month"
    day, month = (_format_of(day_first or first, "day"), _format_of(month_first or first, "month"))
    option = "" if name == "timestamp" else f"{name}="
    told = f"{first!r} can be read with the day or the month first"
    if day_first:
        told = f"{day_first!r} has the day first and {month_first!r} the month"
    raise InputError(
        f"{where}: {told}. Say which with --time-format '{option}{day}' or --time-format '{option}{month}'."
    )


def _format_of(text: str, order: str) -> str:
    """The format of a text if its day or month comes first."""
    mark = next(letter for letter in text if letter in "./-")
    formats = [_ORDERS[order].format(mark) + suffix for suffix in _SUFFIXES]
    return _fitting(text, formats) or formats[0]


def _fitting(text: str, formats: Sequence[str]) -> str | None:
    """The first of some formats that a text has; None if it has none of them."""
    with _connection() as connection:
        fits = (
            each
            for each in formats
            if connection.execute("select try_strptime(?, ?)", [text, each]).fetchone() != (None,)
        )
        return next(fits, None)


def _check_format(given: str) -> None:
    if given in UNITS:
        return
    with _connection() as connection:
        try:
            connection.execute("select try_strptime('', ?)", [given])
        except duckdb.Error as error:
            said = str(error).splitlines()[0].split(": ", 1)[-1]
            raise InputError(
                f"--time-format {given!r} is no format of times ({said}): write, for example, '%d.%m.%Y %H:%M'."
            ) from None
    if "%" not in given:
        raise InputError(
            f"--time-format {given!r} names no part of a time: write, for example, '%d.%m.%Y %H:%M', or one of "
            f"{', '.join(UNITS)}."
        )


def _connection() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(config={"threads": 2})
    connection.execute("set timezone = 'UTC'")
    return connection
