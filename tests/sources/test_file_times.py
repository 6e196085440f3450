"""Times and dates of files of one's own are read as they are written, and asked for where they have two readings."""

import datetime as dt
from pathlib import Path

import pyarrow as pa
import pytest

from recsys_platform.common.errors import InputError
from recsys_platform.sources.file_options import time_formats_of
from recsys_platform.sources.timestamps import detect_time_format
from tests.support.own_files import DAY, landed, replayed

TIMES = {
    "1772359200": {},
    "1772359200000": {},
    "1772359200000000": {},
    "1.7723592e9": {},
    "2026-03-01T10:00:00Z": {},
    "2026/03/01 10:00": {},
    "01.03.2026 10:00": {"time_formats": {"timestamp": "%d.%m.%Y %H:%M"}},
    "03/01/2026 10:00 AM": {"time_formats": {"timestamp": "%m/%d/%Y %I:%M %p"}},
    "1 March 2026, 10h00": {"time_formats": {"timestamp": "%d %B %Y, %Hh%M"}},
    "2026-03-01 12:00:00 +0200": {"time_formats": {"timestamp": "%Y-%m-%d %H:%M:%S %z"}},
}


@pytest.mark.parametrize("time", TIMES)
def test_a_time_is_read_as_it_is_written(tmp_path: Path, time: str) -> None:
    replayed(tmp_path, f'user_id,book_id,timestamp\nu1,b1,"{time}"\n', **TIMES[time])
    assert landed(tmp_path)[0]["timestamp"] == "2026-03-01T10:00:00.000Z"


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("02.03.2026 10:00", "25.10.2026 20:36", "2026-03-02T10:00:00.000Z"),
        ("02/03/2026 10:00 AM", "10/25/2026 08:36 PM", "2026-02-03T10:00:00.000Z"),
        ("2-3-2026", "13-3-2026", "2026-03-02T00:00:00.000Z"),
    ],
)
def test_one_date_of_a_column_tells_which_comes_first_in_all(
    tmp_path: Path, one: str, other: str, expected: str
) -> None:
    replayed(tmp_path, f"user_id,book_id,timestamp\nu1,b1,{one}\nu1,b1,{other}\n")
    assert expected in {record["timestamp"] for record in landed(tmp_path)}


@pytest.mark.parametrize(
    ("times", "told"),
    [
        (
            ["9/6/2026"],
            "'9/6/2026' can be read with the day or the month first. Say which with --time-format '%d/%m/%Y' or",
        ),
        (["9.6.2026 20:36"], "--time-format '%d.%m.%Y %H:%M' or --time-format '%m.%d.%Y %H:%M'"),
        (["9/6/2026", "25/6/2026", "6/25/2026"], "'25/6/2026' has the day first and '6/25/2026' the month"),
    ],
)
def test_day_and_month_are_asked_for_where_either_may_be_first(tmp_path: Path, times: list[str], told: str) -> None:
    rows = "".join(f"u1,b1,{time}\n" for time in times)
    with pytest.raises(InputError) as error:
        replayed(tmp_path, f"user_id,book_id,timestamp\n{rows}")
    assert told in str(error.value)
    assert not (tmp_path / "hub").exists()


def test_times_move_to_a_last_day_and_keep_their_distances(tmp_path: Path) -> None:
    replayed(tmp_path, "user_id,book_id,timestamp\nu1,b1,881250949\nu1,b1,881337349\n", last_day=dt.date(2026, 11, 20))
    assert [record["timestamp"][:10] for record in landed(tmp_path)] == ["2026-11-19", "2026-11-20"]


DATES = {
    "2008": "2008-01-01", "2008.0": "2008-01-01", "800": "0800-01-01", "2008-05": "2008-05-01", "20080517": "2008-05-17",
    "2008-05-17": "2008-05-17", "1210982400": "2008-05-17", "1210982400000": "2008-05-17", "17.05.2008": "2008-05-17",
    "5/17/2008": "2008-05-17", "2008-05-17T00:00:00Z": "2008-05-17",
}  # fmt: skip


@pytest.mark.parametrize("text", DATES)
def test_a_date_is_read_as_it_is_written_and_a_year_is_its_first_day(tmp_path: Path, text: str) -> None:
    done = replayed(tmp_path, "user_id,book_id\nu1,b1\n", f"book_id,published_at\nb1,{text}\n")
    assert landed(tmp_path, "book_attributes/")[0]["published_at"] == f"{DATES[text]}T00:00:00.000Z"
    assert done.unread == ()


def test_a_date_of_two_readings_is_asked_for_and_given(tmp_path: Path) -> None:
    books = "book_id,published_at\nb1,9/6/2006\n"
    with pytest.raises(InputError, match="--time-format 'published_at=%m/%d/%Y'"):
        replayed(tmp_path, "user_id,book_id\nu1,b1\n", books)
    replayed(tmp_path, "user_id,book_id\nu1,b1\n", books, time_formats={"published_at": "%m/%d/%Y"})
    assert landed(tmp_path, "book_attributes/")[0]["published_at"] == "2006-09-06T00:00:00.000Z"


@pytest.mark.parametrize("text", ["9/6/06", "10/11/12", "1-2-03", "epoch"])
def test_a_year_of_two_digits_is_no_year(tmp_path: Path, text: str) -> None:
    books = f"book_id,published_at\nb1,9/6/2006\nb2,9/16/2006\nb3,{text}\nb4,2006/9/6\n"
    done = replayed(tmp_path, "user_id,book_id\nu1,b1\n", books)
    dates = [book.get("published_at", "")[:10] for book in landed(tmp_path, "book_attributes/")]
    assert dates == ["2006-09-06", "2006-09-16", "", "2006-09-06"]
    assert f"the first '{text}' (line 4)" in done.unread[0].sentence()


@pytest.mark.parametrize(
    ("column", "bad"), [("is_premium", "perhaps"), ("reading_minutes", "long"), ("reading_minutes", "4e30")]
)
def test_what_would_be_taken_for_a_default_is_refused_with_its_number(tmp_path: Path, column: str, bad: str) -> None:
    with pytest.raises(InputError, match=rf"line 3, column {column}: '{bad}' is not .* \(2 such values\)"):
        replayed(tmp_path, "user_id,book_id\nu1,b1\n", f"book_id,{column}\nb1,1\nb2,{bad}\nb3,{bad}\n")


@pytest.mark.parametrize(
    ("text", "read_as"),
    [("10/25/2026 08:36 PM", "%m/%d/%Y %I:%M %p"), ("10/25/2026, 8:36:00 PM", "%m/%d/%Y, %I:%M:%S %p")],
)
def test_the_format_that_is_shown_is_the_one_that_a_time_has(text, read_as) -> None:
    texts = pa.chunked_array([[text]])
    time_format = detect_time_format(texts, given=None, name="timestamp", where="f")
    assert time_format.sentence(text) == read_as
    assert time_format.moments(texts).to_pylist() == [dt.datetime(2026, 10, 25, 20, 36)]


@pytest.mark.parametrize(
    ("number", "forms"),
    [
        ("20261025", ["%Y%m%d", "seconds"]),
        ("25102026", ["%d%m%Y", "seconds"]),
        ("01022026", ["%d%m%Y", "%m%d%Y", "seconds"]),
        ("2026", ["%Y", "seconds"]),
        ("202610", ["%Y%m", "seconds"]),
        ("20261025203600", ["%Y%m%d%H%M%S", "seconds"]),
        ("20261025203600123", ["%Y%m%d%H%M%S%g", "seconds"]),
        ("46000.25", ["seconds"]),
        ("0", ["seconds"]),
        ("2026.0", ["seconds"]),
    ],
)
def test_a_number_that_is_no_likely_time_since_1970_is_asked_for(tmp_path: Path, number: str, forms: list[str]) -> None:
    with pytest.raises(InputError) as error:
        replayed(tmp_path, f"user_id,book_id,timestamp\nu1,b1,{number}\n", last_day=DAY)
    assert f"line 2, column timestamp: '{number}' is too small or too large" in str(error.value)
    assert str(error.value).endswith(" or ".join(f"--time-format '{form}'" for form in forms) + ".")


@pytest.mark.parametrize(
    ("number", "unit", "form"),
    [("202610251234", "milliseconds", "%Y%m%d%H%M"), ("2026102512", "seconds", "%Y%m%d%H")],
)
@pytest.mark.parametrize("column", ["timestamp", "published_at"])
def test_a_number_of_two_readings_is_asked_for(tmp_path: Path, number: str, unit: str, form: str, column: str) -> None:
    option = "" if column == "timestamp" else f"{column}="
    files = ["user_id,book_id\nu1,b1\n", "book_id\nb1\n"]
    files[column == "published_at"] = f"user_id,book_id,{column}\nu1,b1,{number}\n"
    with pytest.raises(InputError, match=f"--time-format '{option}{unit}' or --time-format '{option}{form}'"):
        replayed(tmp_path, *files, last_day=DAY)


def test_numbers_of_which_one_is_no_date_are_times_since_1970(tmp_path: Path) -> None:
    replayed(tmp_path, "user_id,book_id,timestamp\nu1,b1,202610251234\nu1,b1,202610996000\n", last_day=DAY)
    first, last = (dt.datetime.fromisoformat(record["timestamp"]) for record in landed(tmp_path))
    assert last - first == dt.timedelta(milliseconds=744_766)


@pytest.mark.parametrize(
    ("number", "form", "expected"),
    [
        ("20261025", "%Y%m%d", "2026-10-25T00:00:00.000Z"),
        ("2026", "%Y", "2026-01-01T00:00:00.000Z"),
        ("20261025203600123", "%Y%m%d%H%M%S%g", "2026-10-25T20:36:00.123Z"),
        ("1772359200", "seconds", "2026-03-01T10:00:00.000Z"),
        ("1772359200000000", "microseconds", "2026-03-01T10:00:00.000Z"),
    ],
)
def test_what_was_asked_for_is_taken(tmp_path: Path, number: str, form: str, expected: str) -> None:
    formats = time_formats_of([form])
    replayed(tmp_path, f"user_id,book_id,timestamp\nu1,b1,{number}\n", time_formats=formats)
    assert landed(tmp_path)[0]["timestamp"] == expected


def test_seconds_since_any_start_are_read_when_they_are_named(tmp_path: Path) -> None:
    rows = "user_id,book_id,timestamp\nu1,b1,0\nu1,b1,3600\n"
    replayed(tmp_path, rows, time_formats={"timestamp": "seconds"}, last_day=dt.date(2026, 11, 20))
    assert [record["timestamp"][:16] for record in landed(tmp_path)] == ["2026-11-20T00:00", "2026-11-20T01:00"]


@pytest.mark.parametrize("number", ["20261025203600", "46000", "4200000000"])
def test_a_number_that_is_no_likely_date_is_left_empty_and_told(tmp_path: Path, number: str) -> None:
    done = replayed(tmp_path, "user_id,book_id\nu1,b1\n", f"book_id,published_at\nb1,{number}\n")
    assert landed(tmp_path, "book_attributes/") == [{"book_id": "b1", "is_available": True}]
    assert f"the first '{number}' (line 2)" in done.unread[0].sentence()
