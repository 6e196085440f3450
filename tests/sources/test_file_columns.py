"""Columns of files of one's own: ids, ratings, events, lists, languages, and how the command shows them."""

import datetime as dt
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from recsys_platform.common.errors import InputError
from recsys_platform.common.languages import primary_subtag
from recsys_platform.common.placeholders import MISSING_WORDS
from recsys_platform.hub.local import FolderHub
from recsys_platform.sources.attributes import store_snapshot
from recsys_platform.sources.file_options import columns_of, events_of, scale_of, time_formats_of
from tests.support.own_files import DAY, landed, replayed, who_and_what


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
    with pytest.raises(InputError, match=r"'Click' cannot be imported.*--event 'Click=Book Viewed'"):
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


def test_what_cannot_be_read_is_counted_and_named(tmp_path: Path) -> None:
    books = "book_id,published_at,language\nb1,2006,eng\nb2,NULL,mul\nb3,-500,de\nb4,around 1900,\n"
    done = replayed(tmp_path, "user_id,book_id\nu1,b1\n", books, users="user_id,created_at\nu1,soon\n")
    assert [unread.sentence().split("books, ")[-1].split("users, ")[-1] for unread in done.unread] == [
        "column published_at: 2 of 3 values could not be read and were left empty, the first '-500' (line 4)",
        "column language: 1 of 3 values could not be read and were left empty, the first 'mul' (line 3)",
        "column created_at: 1 of 1 values could not be read and were left empty, the first 'soon' (line 2)",
    ]
    assert [book.get("published_at", "")[:4] for book in landed(tmp_path, "book_attributes/")] == ["2006", "", "", ""]


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
    with pytest.raises(InputError, match=r"newer than those of this import .*RECSYS_HOME"):
        replayed(tmp_path, "user_id,book_id\nu1,b1\n")
    assert landed(tmp_path) == []


def recsys(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from recsys_platform.cli.app import main; main()", *arguments],
        env={**os.environ, "RECSYS_HOME": str(home)}, capture_output=True, text=True,
    )  # fmt: skip


@pytest.mark.slow
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
