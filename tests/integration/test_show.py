"""`recsys show`: what a reader gets and why, on published lists made by hand; no run."""

from pathlib import Path

import pytest

from recsys_platform.config.factories import prepare_home
from recsys_platform.config.settings import Settings, load_settings
from recsys_platform.warehouse.duckdb.engine import DuckDBWarehouse
from recsys_platform.warehouse.duckdb.reading_copy import write_reading_copy

PUBLISHED = """
    create schema if not exists published; create schema if not exists marts;
    create table marts.dim_users (user_id varchar, language varchar, country varchar, tier varchar);
    insert into marts.dim_users values ('ann', 'de', 'AT', 'free'), ('ben', null, null, 'premium'), ('cleo', 'de', null, 'free');
    create table marts.fct_interactions (user_id varchar, book_id varchar, is_finished boolean);
    insert into marts.fct_interactions values ('ann', 'b1', true), ('ann', 'b2', false);
    create table marts.dim_books (book_id varchar, title varchar, author varchar);
    insert into marts.dim_books values ('b1', 'Read Before', 'A'), ('b2', 'Begun', 'B'),
        ('b3', 'Made for Ann [red]', 'C'), ('b4', 'Known to All', null), ('b5', null, 'D');
    create table published.model_roles (model varchar, model_version varchar, is_live boolean, chosen_by varchar, why varchar);
    insert into published.model_roles values
        ('blend', 'blend-v7', true, 'person', 'a trial'), ('als', 'als-v2', false, 'gate', 'the next best');
    create table published.user_recommendations
        (user_id varchar, model varchar, rank int, book_id varchar, reason varchar, because_book_id varchar);
    insert into published.user_recommendations values
        ('ann', 'blend', 2, 'b4', 'popular', null), ('ann', 'blend', 1, 'b3', 'matches your reading', 'b1'),
        ('ann', 'als', 1, 'b5', 'matches your reading', 'b2'), ('ben', 'blend', 1, 'b4', 'popular', null);
    create table published.popular_books (segment varchar, rank int, book_id varchar);
    insert into published.popular_books values ('all', 1, 'b4'), ('all', 2, 'b5'), ('language=de', 1, 'b3')"""
ANN = "ann: language de, country AT, tier free, interacted with 2 books, finished 1"
BEN = "ben: tier premium, no history: popular books in the language come first"
CLEO = "cleo: language de, tier free, no history: popular books in the language come first"
NOT_YET = "No recommendations are published yet: run `recsys run`."
NOBODY = "not in marts.dim_users: an unknown reader, who gets popular books"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A world in which nothing was run."""
    monkeypatch.setenv("RECSYS_HOME", str(tmp_path / "home"))
    settings = load_settings()
    prepare_home(settings)
    return settings


@pytest.fixture
def published(home: Settings) -> Settings:
    """A world whose lists were published: ann has history, ben has none, cleo came after the last publication."""
    warehouse = DuckDBWarehouse(home.warehouse_path)
    warehouse.prepare()
    with warehouse.connect() as con:
        con.execute(PUBLISHED)
    return home


ANNS = ["1 b3 Made for Ann [red] C matches your reading, because of Read Before", "2 b4 Known to All popular"]
GERMAN, POPULAR = (
    ["1 b3 Made for Ann [red] C popular in your language"],
    ["1 b4 Known to All popular", "2 b5 D popular"],
)
LIST, IN_GERMAN, OF_ALL = "the list of blend-v7", "popular_books, segment language=de", "popular_books, segment all"


@pytest.mark.parametrize(
    ("reader", "options", "who", "source", "books"),
    [
        ("ann", [], ANN, LIST, ANNS),
        ("ann", ["--length", "1"], ANN, LIST, ANNS[:1]),
        ("ann", ["--language", "en"], ANN, LIST, ANNS),
        ("ben", [], BEN, LIST, ["1 b4 Known to All popular"]),
        ("cleo", [], CLEO, IN_GERMAN, GERMAN),
        ("dan", [], f"dan: {NOBODY}", OF_ALL, POPULAR),
        ("dan", ["--length", "1"], f"dan: {NOBODY}", OF_ALL, POPULAR[:1]),
        ("dan", ["--language", "de-CH"], f"dan: {NOBODY}", IN_GERMAN, GERMAN),
        ("dan", ["--language", "fr"], f"dan: {NOBODY}", OF_ALL, POPULAR),
        ("[bold]'; --", [], f"[bold]'; --: {NOBODY}", OF_ALL, POPULAR),
        ("ANN", [], f"ANN: {NOBODY}", OF_ALL, POPULAR),
    ],
)
def test_a_reader_is_shown_with_what_is_live_and_books_with_titles_and_reasons(
    published: Settings, run_recsys, reader: str, options: list[str], who: str, source: str, books: list[str]
) -> None:
    code, said = run_recsys("show", *options, "--", reader)
    live = "live: blend-v7, chosen by a person: a trial"
    assert (code, said) == (0, f"{who} {live} from {source}: rank book title author why {' '.join(books)}")


def test_while_a_run_writes_the_warehouse_its_copy_answers(published: Settings, run_recsys, held) -> None:
    with held(published.warehouse_path):
        code, said = run_recsys("show", "ann")
        assert (code, said.count("error:")) == (1, 1)
    write_reading_copy(DuckDBWarehouse(published.warehouse_path), published.analytics_path)
    with held(published.warehouse_path):
        code, said = run_recsys("show", "ann")
    assert (code, ANN in said) == (0, True)


@pytest.mark.parametrize(
    ("sql", "sentence"),
    [
        (
            None,
            "There is no warehouse at {home}/warehouse.duckdb yet: run `recsys run` first, "
            "or set RECSYS_HOME to a world that exists.",
        ),
        ("select 1", NOT_YET),
        (f"{PUBLISHED}; delete from published.model_roles", NOT_YET),
    ],
)
def test_where_nothing_can_be_shown_one_sentence_says_why(
    home: Settings, run_recsys, sql: str | None, sentence: str
) -> None:
    if sql:
        warehouse = DuckDBWarehouse(home.warehouse_path)
        warehouse.prepare()
        with warehouse.connect() as con:
            con.execute(sql)
    code, said = run_recsys("show", "ann")
    assert (code, said) == (1, f"error: {sentence.format(home=home.home)}")
