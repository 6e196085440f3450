"""What somebody without a list of their own gets, in whatever way the language is written."""

import pytest

from recsys_platform.reports.recommendations import recommendations_for


@pytest.fixture
def published(warehouse):
    """Nobody has a list; popular books of Filipino, Swedish and German."""
    with warehouse.connect() as con:
        con.execute(
            """
            create schema if not exists published; create schema if not exists marts;
            create table published.model_roles as
                select 'm' as model, 'm 1' as model_version, true as is_live, 'gate' as chosen_by, 'it is best' as why;
            create table marts.dim_users (user_id varchar, language varchar, country varchar, tier varchar);
            create table marts.dim_books as select unnest(['fil', 'sv', 'de', 'all']) as book_id, 'T' as title, 'A' as author;
            create table published.user_recommendations
                (user_id varchar, model varchar, rank int, book_id varchar, reason varchar, because_book_id varchar);
            create table published.popular_books as
                select 1 as rank, book_id, if(book_id = 'all', 'all', 'language=' || book_id) as segment from marts.dim_books"""
        )
    return warehouse


@pytest.mark.parametrize(
    ("language", "book"),
    [
        ("fil", "fil"),
        ("FIL-PH", "fil"),
        ("swe", "sv"),
        ("sv_SE", "sv"),
        ("German", "de"),
        ("xx", "all"),
        ("?", "all"),
        (None, "all"),
    ],
)
def test_somebody_unknown_gets_what_is_popular_in_the_language_that_is_meant(published, language, book):
    [offered] = recommendations_for(published, "nobody", length=3, language=language).books
    assert offered["book_id"] == book
