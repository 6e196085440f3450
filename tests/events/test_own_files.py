"""Files as people have them: told apart by content, named by options, shown before they are written, never guessed."""

import bz2
import datetime as dt
import gzip
import io
import json
import lzma
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recsys_platform.common.errors import InputError
from recsys_platform.common.languages import primary_subtag
from recsys_platform.common.placeholders import MISSING_WORDS
from recsys_platform.hub.local import FolderHub
from recsys_platform.sources.attributes import store_snapshot
from recsys_platform.sources.file_import import ReplaySummary, replay
from recsys_platform.sources.file_options import Reading, columns_of, events_of, scale_of, time_formats_of
from recsys_platform.sources.tabular import read_table
from recsys_platform.sources.timestamps import time_reading

DAY = dt.date(2026, 11, 21)
IDS = {"columns": {"user_id": "userId", "book_id": "item_id"}}
NUMBERED = {
    "columns": {"user_id": "1", "book_id": "2", "rating": "3", "timestamp": "4"},
    "headerless": frozenset({"interactions"}),
}


def replayed(
    folder: Path,
    interactions: str | bytes,
    books: str | bytes = "book_id\nb1\n",
    users: str | None = None,
    **options: Any,
) -> ReplaySummary:
    """Replay files of these contents with the options of a `Reading`."""
    paths = {}
    for name, content in (("interactions", interactions), ("books", books), ("users", users)):
        if content is not None:
            paths[name] = folder / name
            paths[name].write_bytes(content.encode() if isinstance(content, str) else content)
    return replay(FolderHub(folder / "hub"), **paths, date=DAY, reading=Reading(**options))


def landed(folder: Path, prefix: str = "engagement_events/") -> list[dict[str, Any]]:
    hub = FolderHub(folder / "hub")
    texts = [gzip.decompress(hub.get(each.key)).decode() for each in hub.objects(prefix)]
    return [json.loads(line) for text in texts for line in text.splitlines()]


def who_and_what(folder: Path) -> list[tuple[str, str]]:
    return [(record["userId"], record["properties"]["book_id"]) for record in landed(folder)]


SHAPES: dict[str, tuple[bytes, dict[str, Any]]] = {
    "tabs and a byte-order mark": (b"\xef\xbb\xbfuserId\titem_id\n1\tb1\n", IDS),
    "tabs in UTF-16, as spreadsheets write": ("userId\titem_id\n1\tb1\n".encode("utf-16"), IDS),
    "semicolons and quotes": (b'"userId";"item_id"\r\n"1";"b1"\r\n', IDS),
    "bars": (b"userId|item_id\n1|b1\n", IDS),
    "tabs without a header": (b"1\tb1\t3\t1772359200\n", NUMBERED),
    "pairs of colons without a header": (b"1::b1::3::1772359200\n", NUMBERED),
    "commas after an empty line": (b"\nuserId,item_id\n1,b1\n", IDS),
    "blanks around names": (b"userId , item_id\n1, b1\n", IDS),
    "JSON Lines": (b'{"userId": 1, "item_id": "b1"}\n\n', IDS),
    "JSON Lines in gzip": (gzip.compress(b'{"userId": 1, "item_id": "b1"}\n'), IDS),
    "a JSON array": (b'[{"userId": 1, "item_id": "b1"}]', IDS),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_a_file_is_read_by_what_is_in_it(tmp_path: Path, shape: str) -> None:
    content, options = SHAPES[shape]
    replayed(tmp_path, content, **options)
    assert who_and_what(tmp_path) == [("1", "b1")]


def test_latin_1_is_read_when_it_is_named(tmp_path: Path) -> None:
    books = "book_id;title\nb1;Käse\n".encode("latin-1")
    with pytest.raises(InputError, match="--encoding latin-1"):
        replayed(tmp_path, "user_id,book_id\nu1,b1\n", books)
    replayed(tmp_path, "user_id,book_id\nu1,b1\n", books, encoding="latin-1")
    assert landed(tmp_path, "book_attributes/")[0]["title"] == "Käse"


def test_quotes_inside_quotes_may_have_backslashes(tmp_path: Path) -> None:
    books = 'ISBN;Title\n"b1";"the \\"real\\"; one"\n"b2";"two"\n'
    replayed(tmp_path, "user_id,book_id\nu1,b1\n", books, columns={"book_id": "ISBN", "title": "Title"})
    assert [book["title"] for book in landed(tmp_path, "book_attributes/")] == ['the "real"; one', "two"]


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


@pytest.mark.parametrize(
    ("scale", "given", "stars"),
    [
        ("0.5:5", "0.5", 1),
        ("0.5:5", "5.0", 5),
        ("0.5:5", "2.75", 3),
        ("0:10", "5", 3),
        ("1:10", "10", 5),
        ("-1:1", "0", 3),
    ],
)
def test_ratings_move_from_their_scale_to_ours(tmp_path: Path, scale: str, given: str, stars: float) -> None:
    replayed(tmp_path, f"user_id,book_id,rating\nu1,b1,{given}\n", rating_scale=scale_of(scale))
    assert landed(tmp_path)[0]["properties"]["rating"] == stars


def test_a_rating_may_mean_that_there_is_none(tmp_path: Path) -> None:
    replayed(tmp_path, "user_id,book_id,rating\nu1,b1,0\nu2,b1,10\n", rating_scale=(1, 10), unrated=0)
    assert [(record["event"], record["properties"].get("rating")) for record in landed(tmp_path)] == [
        ("Book Finished", None),
        ("Book Rated", 5),
    ]


def test_a_decimal_comma_is_named_and_read_when_asked(tmp_path: Path) -> None:
    rows = "user_id;book_id;rating\nu1;b1;4,5\n"
    with pytest.raises(
        InputError, match=r"line 2, column rating: '4,5' has a decimal comma\. Give --decimal-comma, or write 4\.5"
    ):
        replayed(tmp_path, rows)
    replayed(tmp_path, rows, decimal_comma=True)
    assert landed(tmp_path)[0]["properties"]["rating"] == 4.5


def test_events_of_others_are_named_and_may_be_left_out(tmp_path: Path) -> None:
    rows = "user_id,book_id,event\nu1,b1,Click\nu2,b1,purchase\nu3,b1,impression\nu4,b1,book_saved\n"
    with pytest.raises(InputError, match=r"'Click' cannot be replayed.*--event 'Click=Book Viewed'"):
        replayed(tmp_path, rows)
    done = replayed(tmp_path, rows, events=events_of(["click=Book Viewed", "purchase=book_finished", "impression="]))
    assert [record["event"] for record in landed(tmp_path)] == ["Book Viewed", "Book Finished", "Book Saved"]
    assert done.left_out == 1


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (columns_of, ["user_id"]),
        (columns_of, ["usr_id=userId"]),
        (events_of, ["click"]),
        (events_of, ["click=Book Eaten"]),
        (lambda texts: scale_of(texts[0]), ["5"]),
        (lambda texts: scale_of(texts[0]), ["5:1"]),
    ],
)
def test_an_option_of_another_form_is_told_how_to_write_it(read: Any, text: list[str]) -> None:
    with pytest.raises(InputError, match=r"[Ww]rite"):
        read(text)


def test_options_are_told_apart() -> None:
    assert columns_of(["user_id=uid", "books.author=writer", "title=a=b"]) == (
        {"user_id": "uid", "title": "a=b"},
        {"interactions": {}, "books": {"author": "writer"}, "users": {}},
    )
    assert time_formats_of(["%d.%m.%Y", "published_at=%m/%Y"]) == {"timestamp": "%d.%m.%Y", "published_at": "%m/%Y"}


def test_a_column_is_renamed_in_each_file_that_has_it(tmp_path: Path) -> None:
    replayed(
        tmp_path, "uid,movieId\n1,m1\n", "movieId,name\nm1,One\n", "uid,lang\n1,eng\n",
        columns={"user_id": "uid", "book_id": "movieId", "title": "name", "language": "lang"},
    )  # fmt: skip
    assert who_and_what(tmp_path) == [("1", "m1")]
    assert landed(tmp_path, "book_attributes/") == [{"book_id": "m1", "title": "One", "is_available": True}]
    assert landed(tmp_path, "user_attributes/") == [{"user_id": "1", "language": "en"}]


def test_a_column_that_no_file_has_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--column rating=score: no file for it has a column score"):
        replayed(tmp_path, "user_id,book_id\nu1,b1\n", columns={"rating": "score"})


def test_line_1_that_is_data_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="If line 1 is data, give --no-header"):
        replayed(tmp_path, "196\t242\t3\t881250949\n186\t302\t3\t891717742\n")


WORDS = ("NULL", "nan", "None", "\\N", "undefined", "[object Object]", "N/A", "<NA>", "Anonymous", "\u00a0", "\ufeff")


@pytest.mark.parametrize("word", [*WORDS, "00000000-0000-0000-0000-000000000000"])
@pytest.mark.parametrize("column", ["user_id", "book_id"])
def test_a_word_that_means_nothing_is_no_id(tmp_path: Path, word: str, column: str) -> None:
    row = {"user_id": "u1", "book_id": "b1"}
    with pytest.raises(InputError, match=f"line 2, column {column}"):
        replayed(tmp_path, json.dumps(row) + "\n" + json.dumps({**row, column: word}))
    own = json.dumps([{column: "x1"}, {column: word}])
    with pytest.raises(InputError, match=f"row 2, column {column}"):
        replayed(tmp_path, json.dumps(row), **{"books" if column == "book_id" else "users": own})
    assert not (tmp_path / "hub").exists()


def test_a_word_that_means_nothing_is_no_attribute(tmp_path: Path) -> None:
    names = ("title", "language", "categories", "reading_minutes", "is_premium", "published_at", "shelf")
    books = [
        {"book_id": f"b{number}", **dict.fromkeys(names, word.upper())} for number, word in enumerate(MISSING_WORDS)
    ]
    done = replayed(tmp_path, "user_id,book_id\nu1,b1\n", json.dumps(books))
    assert landed(tmp_path, "book_attributes/") == [
        {"book_id": book["book_id"], "is_available": True} for book in books
    ]
    assert done.unread == ()


def test_namibia_is_a_country(tmp_path: Path) -> None:
    replayed(tmp_path, "user_id,book_id\nu1,b1\n", users="user_id,country\nu1,NA\n")
    assert landed(tmp_path, "user_attributes/") == [{"user_id": "u1", "country": "NA"}]


@pytest.mark.parametrize("rows", ["user_id,book_id\n1.0,7\n", "user_id,book_id\n1,7.0\n2,8.0\n"])
def test_ids_that_became_fractions_are_told(tmp_path: Path, rows: str) -> None:
    with pytest.raises(InputError, match=r"is an id with a decimal point"):
        replayed(tmp_path, rows)


def test_ids_that_parquet_holds_as_fractions_are_whole(tmp_path: Path) -> None:
    pq.write_table(pa.table({"user_id": [1.0, 123456789012.0], "book_id": [7.0, None]}).slice(0, 1), tmp_path / "i")
    done = replay(FolderHub(tmp_path / "hub"), interactions=tmp_path / "i", books=tmp_path / "i", date=DAY)
    assert (who_and_what(tmp_path), done.unknown_books) == ([("1", "7")], 0)


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


def test_what_cannot_be_read_is_counted_and_named(tmp_path: Path) -> None:
    books = "book_id,published_at,language\nb1,2006,eng\nb2,NULL,mul\nb3,-500,de\nb4,around 1900,\n"
    done = replayed(tmp_path, "user_id,book_id\nu1,b1\n", books, users="user_id,created_at\nu1,soon\n")
    assert [unread.sentence().split("books, ")[-1].split("users, ")[-1] for unread in done.unread] == [
        "column published_at: 2 of 3 values could not be read and were left empty, the first '-500' (line 4)",
        "column language: 1 of 3 values could not be read and were left empty, the first 'mul' (line 3)",
        "column created_at: 1 of 1 values could not be read and were left empty, the first 'soon' (line 2)",
    ]
    assert [book.get("published_at", "")[:4] for book in landed(tmp_path, "book_attributes/")] == ["2006", "", "", ""]


@pytest.mark.parametrize(
    ("column", "bad"), [("is_premium", "perhaps"), ("reading_minutes", "long"), ("reading_minutes", "4e30")]
)
def test_what_would_be_taken_for_a_default_is_refused_with_its_number(tmp_path: Path, column: str, bad: str) -> None:
    with pytest.raises(InputError, match=rf"line 3, column {column}: '{bad}' is not .* \(2 such values\)"):
        replayed(tmp_path, "user_id,book_id\nu1,b1\n", f"book_id,{column}\nb1,1\nb2,{bad}\nb3,{bad}\n")


@pytest.mark.parametrize("text", ["a|b", '["a", "b"]', "['a', 'b']", " a | b |", "a|nan|b"])
def test_lists_are_read_as_they_are_written(tmp_path: Path, text: str) -> None:
    book = json.dumps({"book_id": "b1", "categories": text})
    replayed(tmp_path, "user_id,book_id\nu1,b1\n", book)
    assert landed(tmp_path, "book_attributes/")[0]["categories"] == ["a", "b"]


LANGUAGES = {
    "en": "en", "EN": "en", "eng": "en", "en-US": "en", "en_GB": "en", "ENG-us": "en", "English": "en", "ger": "de", "deu": "de",
    "Deutsch": "de", "fre": "fr", "français": "fr", "zh-Hans": "zh", "chi": "zh", "iw": "he", "pt_BR.UTF-8": "pt", "fil": "fil",
    "mul": None, "und": None, "klingonese": None, "?": None, "": None,
}  # fmt: skip


@pytest.mark.parametrize("text", LANGUAGES)
def test_a_language_is_one_primary_subtag(text: str) -> None:
    assert primary_subtag(text) == LANGUAGES[text]


@pytest.mark.parametrize("kind", ["book_attributes", "user_attributes"])
def test_a_newer_snapshot_would_win_and_is_told(tmp_path: Path, kind: Any) -> None:
    store_snapshot(FolderHub(tmp_path / "hub"), kind, DAY + dt.timedelta(days=1), [{"book_id": "b", "user_id": "u"}])
    with pytest.raises(InputError, match=r"newer than those of this replay .*RECSYS_HOME"):
        replayed(tmp_path, "user_id,book_id\nu1,b1\n")
    assert landed(tmp_path) == []


def recsys(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from recsys_platform.cli.app import main; main()", *arguments],
        env={**os.environ, "RECSYS_HOME": str(home)}, capture_output=True, text=True,
    )  # fmt: skip


def test_the_command_shows_three_rows_before_it_writes_and_a_dry_run_writes_nothing(tmp_path: Path) -> None:
    (tmp_path / "ratings.csv").write_text(
        "userId,movieId,rating,ts\n" + "".join(f"{n},m1,2.75,1772359200000\n" for n in range(1, 6))
    )
    (tmp_path / "movies.tsv").write_text("movieId\tname\tlang\nm1\tOne\teng\n")
    options = (
        "--interactions", f"{tmp_path}/ratings.csv", "--books", f"{tmp_path}/movies.tsv", "--column", "user_id=userId",
        "--column", "book_id=movieId", "--column", "timestamp=ts", "--column", "title=name", "--column", "language=lang",
        "--rating-scale", "0.5:5", "--date", "2026-11-21",
    )  # fmt: skip
    shown = recsys(tmp_path / "home", "import", *options, "--dry-run")
    assert shown.returncode == 0, shown.stderr
    row = "Book Rated, user 3, book m1, 3 of 5 stars, at 2026-03-01T10:00:00Z (from milliseconds since 1970)"
    assert row in shown.stdout
    assert "user 4" not in shown.stdout
    assert '{"book_id": "m1", "title": "One", "language": "en", "is_available": true}' in shown.stdout
    assert landed(tmp_path / "home") == []
    written = recsys(tmp_path / "home", "import", *options)
    assert row in written.stdout
    assert len(landed(tmp_path / "home")) == 5


def test_own_data_are_refused_beside_a_simulated_world(tmp_path: Path) -> None:
    (tmp_path / "home" / "truth").mkdir(parents=True)
    (tmp_path / "home" / "truth" / "world.json").touch()
    (tmp_path / "i.csv").write_text("user_id,book_id\nu1,b1\n")
    said = recsys(tmp_path / "home", "import", "--interactions", f"{tmp_path}/i.csv", "--books", f"{tmp_path}/i.csv")
    assert said.returncode == 1
    assert "set RECSYS_HOME to another folder" in said.stderr


@pytest.mark.parametrize(
    "data", [b"\xfd7zXZ\x00\x00\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\x00", b"PK\x03\x04\x14\x00"]
)
def test_a_file_that_is_no_table_is_named_as_what_it_is(tmp_path, data) -> None:
    path = tmp_path / "ratings.csv"
    path.write_bytes(data + bytes(range(200)))
    with pytest.raises(InputError, match=r"is (xz|an old Excel workbook|a ZIP archive): unpack it"):
        read_table(path, required=("user_id",))


@pytest.mark.parametrize(
    ("text", "read_as"),
    [("10/25/2026 08:36 PM", "%m/%d/%Y %I:%M %p"), ("10/25/2026, 8:36:00 PM", "%m/%d/%Y, %I:%M:%S %p")],
)
def test_the_format_that_is_shown_is_the_one_that_a_time_has(text, read_as) -> None:
    texts = pa.chunked_array([[text]])
    reading = time_reading(texts, given=None, name="timestamp", where="f")
    assert reading.sentence(text) == read_as
    assert reading.moments(texts).to_pylist() == [dt.datetime(2026, 10, 25, 20, 36)]


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


def packed_parquet(**columns: Any) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer)
    return buffer.getvalue()


UNUSED: dict[str, list[Any]] = {
    "objects": [{"a": 1}], "lists of objects": [[{"a": 1}]], "lists of lists": [[[1]]], "bytes": [b"\xff\xfe"],
    "objects of bytes": [{"path": "x", "bytes": b"\xff"}],
}  # fmt: skip


@pytest.mark.parametrize("kind", UNUSED)
def test_a_column_that_nobody_uses_may_hold_anything(tmp_path: Path, kind: str) -> None:
    events, books = {"user_id": ["u1"], "book_id": ["b1"]}, {"book_id": ["b1"], "title": ["One"]}
    replayed(tmp_path, packed_parquet(**events, more=UNUSED[kind]), packed_parquet(**books, more=UNUSED[kind]))
    assert who_and_what(tmp_path) == [("u1", "b1")]
    assert landed(tmp_path, "book_attributes/") == [{"book_id": "b1", "title": "One", "is_available": True}]
    if "bytes" not in kind:
        event, book = ({name: each[0] for name, each in row.items()} for row in (events, books))
        (tmp_path / "json").mkdir()
        replayed(
            tmp_path / "json",
            json.dumps({**event, "more": UNUSED[kind][0]}),
            json.dumps({**book, "more": UNUSED[kind][0]}),
        )
        assert landed(tmp_path / "json", "book_attributes/") == landed(tmp_path, "book_attributes/")


def test_what_is_not_used_is_shown(tmp_path: Path) -> None:
    lines: list[str] = []
    (tmp_path / "i").write_text('{"user_id": "u1", "book_id": "b1", "context": {"page": 1}}\n')
    (tmp_path / "b").write_text('{"book_id": "b1", "shelf": "A", "size": {"height": 1}}\n')
    replay(FolderHub(tmp_path), interactions=tmp_path / "i", books=tmp_path / "b", date=DAY, preview=lines.append)
    assert [line.split("; ")[1:] for line in lines if "JSON Lines" in line] == [
        ["user_id, book_id", "not used: context"],
        ["book_id, shelf", "not used: size"],
    ]


@pytest.mark.parametrize("value", [["x"], {"a": 1}, [{"a": 1}]])
@pytest.mark.parametrize(
    ("file", "column"),
    [("i", "user_id"), ("i", "timestamp"), ("i", "event"), ("b", "book_id"), ("b", "title"), ("b", "published_at")],
)
def test_several_values_where_one_is_needed_are_told_with_their_line(
    tmp_path: Path, value: Any, file: str, column: str
) -> None:
    rows = {"i": {"user_id": "u1", "book_id": "b1"}, "b": {"book_id": "b1"}}
    contents = {name: f"{json.dumps(row)}\n" for name, row in rows.items()}
    contents[file] += f"{json.dumps({**rows[file], 'book_id': 'b2', column: value})}\n"
    with pytest.raises(InputError, match=rf"line 2, column {column}: (a list, where|holds values within)"):
        replayed(tmp_path, contents["i"], contents["b"])
    assert not (tmp_path / "hub").exists()


def test_several_authors_are_one_text(tmp_path: Path) -> None:
    replayed(tmp_path, "user_id,book_id\nu1,b1\n", '{"book_id": "b1", "author": ["Ada", null, "Bo"]}')
    assert landed(tmp_path, "book_attributes/")[0]["author"] == "Ada, Bo"


CSV = b"user_id,book_id\nu1,b1\n"


def archive(mode: str) -> bytes:
    buffer = io.BytesIO()
    if mode.startswith("w"):
        with tarfile.open(fileobj=buffer, mode=mode) as tar:  # type: ignore[call-overload]
            member = tarfile.TarInfo("ratings.csv")
            member.size = len(CSV)
            tar.addfile(member, io.BytesIO(CSV))
    else:
        with zipfile.ZipFile(buffer, "w") as zipped:
            zipped.writestr(mode, CSV)
    return buffer.getvalue()


FOREIGN = {
    "a tar archive": archive("w"), "a tar archive within gzip": archive("w:gz"), "a ZIP archive": archive("ratings.csv"),
    "a ZIP archive within gzip": gzip.compress(archive("ratings.csv")), "an Excel workbook": archive("xl/workbook.xml"),
    "an OpenDocument file": archive("content.xml"), "bzip2": bz2.compress(CSV), "xz": lzma.compress(CSV),
    "Zstandard": bytes(pa.compress(CSV, codec="zstd", asbytes=True)), "gzip within gzip": gzip.compress(gzip.compress(CSV)),
    "bzip2 within gzip": gzip.compress(bz2.compress(CSV)), "a PDF document": b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n1 0 obj\n",
    "a RAR archive": b"Rar!\x1a\x07\x01\x00" + CSV, "HTML or XML": b"\n<!DOCTYPE html><html><table></table></html>",
}  # fmt: skip


@pytest.mark.parametrize("what", FOREIGN)
def test_what_is_no_table_is_named_and_told_what_to_do(tmp_path: Path, what: str) -> None:
    with pytest.raises(InputError, match=rf"interactions is {what}: .* as CSV, and give that file\.$"):
        replayed(tmp_path, FOREIGN[what])
    assert not (tmp_path / "hub").exists()


@pytest.mark.parametrize(
    "content",
    [
        packed_parquet(user_id=["u1"], book_id=["b1"]),
        CSV,
        CSV.replace(b",", b"\t"),
        b'{"user_id": "u1", "book_id": "b1"}\n',
        b'[{"user_id": "u1", "book_id": "b1"}]',
    ],
)
@pytest.mark.parametrize("after", [b"", b"\0" * 16])
def test_every_table_may_be_gzipped(tmp_path: Path, content: bytes, after: bytes) -> None:
    replayed(tmp_path, gzip.compress(content) + after)
    assert who_and_what(tmp_path) == [("u1", "b1")]


@pytest.mark.parametrize(
    "blank", ["\n", "\n\n\n", " \n", "   ", "\t\n", " \n\t\n\n", "\r\n \r\n", "\u00a0\n", ",\n", ',""\n', ",,,\n"]
)
@pytest.mark.parametrize("mark", [",", "\t", ";"])
def test_lines_that_hold_nothing_are_no_rows(tmp_path: Path, blank: str, mark: str) -> None:
    lines = ["user_id,book_id,rating\n", "u1,b1,4\n", "u2,b1,9\n"]
    first, second, third = (line.replace(",", mark) for line in lines)
    blank = blank.replace(",", mark)
    within = blank if blank.endswith("\n") else f"{blank}\n"
    books = f"book_id{mark}title\n{within}b1{mark}One\n{blank}"
    replayed(tmp_path, f"{first}{within}{second}{blank}", books)
    assert who_and_what(tmp_path) == [("u1", "b1")]
    assert len(landed(tmp_path, "book_attributes/")) == 1
    line = 3 + within.count("\n")
    with pytest.raises(InputError, match=f"line {line}, column rating: '9'"):
        replayed(tmp_path, f"{within}{first}{second}{third}")


def test_a_header_without_rows_has_no_rows(tmp_path: Path) -> None:
    for content in ("user_id,book_id", "user_id,book_id\n \n\n"):
        with pytest.raises(InputError, match="has no rows below its header"):
            replayed(tmp_path, content)


@pytest.mark.parametrize("half", ["\\ud800", "\\udc00 x", "\\ud83d\\ud83d\\ude00"])
def test_half_a_character_is_a_question_mark_in_a_text_and_no_id(tmp_path: Path, half: str) -> None:
    row = '{"user_id": "u1", "book_id": "b1"}\n'
    for column in ("user_id", "book_id"):
        bad = json.dumps({"user_id": "u1", "book_id": "b1", column: "@"}).replace("@", half)
        with pytest.raises(InputError, match=f"line 2, column {column}: half a character"):
            replayed(tmp_path, row + bad)
    replayed(
        tmp_path, row.replace("}", f', "more": "{half}", "{half}": 1}}'), f'{{"book_id": "b1", "title": "{half}"}}'
    )
    assert landed(tmp_path, "book_attributes/")[0]["title"].startswith("?")


def test_rows_that_are_left_out_leave_no_trace(tmp_path: Path) -> None:
    rows = (
        "user_id,book_id,event,timestamp\n,b9,x,2026-05-01\nu9,b9,x,13.1.2026\nu8,b9,X,1.13.2026\n"
        "u1,b1,click,2026-01-01\nu2,b1,click,2026-01-03\n"
    )
    options = {"events": events_of(["x=", "click=Book Viewed"]), "last_day": dt.date(2026, 11, 20)}
    done = replayed(tmp_path, rows, **options)
    assert [record["timestamp"][:10] for record in landed(tmp_path)] == ["2026-11-18", "2026-11-20"]
    assert landed(tmp_path, "user_attributes/") == [{"user_id": "u1"}, {"user_id": "u2"}]
    assert (done.left_out, done.unknown_books, done.users) == (3, 0, 2)
    with pytest.raises(InputError, match="line 7, column timestamp: 'never' is no time"):
        replayed(tmp_path, f"{rows}u3,b1,click,never\n", **options)
    with pytest.raises(InputError, match="has no rows left"):
        replayed(tmp_path, "user_id,book_id,event\nu1,b1,x\n", **options)
