"""What the published tables promise their readers: each sentence with SQL that counts what breaks it.

`{user_recommendations}`, `{similar_books}` and `{popular_books}` stand for the tables of the version to be published, `{dim_users}`,
`{dim_books}` and `{fct_interactions}` for the marts that the lists were made from (the live ones may have gone on since), and
`{models}` for the names of the models published.
"""

from collections.abc import Mapping

USER_RECOMMENDATIONS: Mapping[str, str] = {
    "every reader with an unread book left has a list of every model": """
        with finished as (
            select i.user_id, count(*) as books
            from {fct_interactions} as i inner join {dim_books} as b on i.book_id = b.book_id
            where i.is_finished and b.is_available group by i.user_id
        ),
        left_over as (
            select u.user_id from {dim_users} as u left join finished as f on f.user_id = u.user_id
            where coalesce(f.books, 0) < (select count(*) from {dim_books} where is_available)
        ),
        expected as (select l.user_id, m.model from left_over as l cross join {models} as m),
        listed as (select distinct user_id, model from {user_recommendations})
        select count(*) from expected as e left join listed as r on r.user_id = e.user_id and r.model = e.model
        where r.user_id is null""",
    "no list holds a book that its reader has finished": """
        select count(*) from {user_recommendations} as r
        where (r.user_id, r.book_id) in (select user_id, book_id from {fct_interactions} where is_finished)""",
    "every recommended book is available": """
        select count(*) from {user_recommendations} as r
        left join {dim_books} as b on b.book_id = r.book_id and b.is_available
        where b.book_id is null""",
    "ranks run from 1 without a gap and no book stands twice in a list": """
        select count(*) from (
            select user_id, model from {user_recommendations} group by user_id, model
            having max(rank) <> count(*) or count(distinct rank) <> count(*) or count(distinct book_id) <> count(*)) as uneven""",
}
SIMILAR_BOOKS: Mapping[str, str] = {
    "ranks of similar books run from 1 without a gap": """
        select count(*) from (
            select book_id, model from {similar_books} group by book_id, model
            having max(rank) <> count(*) or count(distinct rank) <> count(*)
                or count(distinct similar_book_id) <> count(*)) as uneven""",
    "no book is similar to itself and every similar book is available": """
        select count(*) from {similar_books} as s
        left join {dim_books} as b on b.book_id = s.similar_book_id
        where s.book_id = s.similar_book_id or not coalesce(b.is_available, false)""",
}
POPULAR_BOOKS: Mapping[str, str] = {
    "ranks of popular books run from 1 without a gap": """
        select count(*) from (
            select segment from {popular_books} group by segment
            having max(rank) <> count(*) or count(distinct rank) <> count(*) or count(distinct book_id) <> count(*)) as uneven""",
    "every popular book is available": """
        select count(*) from {popular_books} as p
        left join {dim_books} as b on b.book_id = p.book_id and b.is_available
        where b.book_id is null""",
    "there is a list for everyone": """
        select case when count(case when p.segment = 'all' then 1 end) = 0 then 1 else 0 end from {popular_books} as p
        where (select count(*) from {dim_books} where is_available) > 0""",
}
GIVEN: Mapping[str, list[str]] = {
    "dim_users": ["user_id"],
    "dim_books": ["book_id", "is_available"],
    "fct_interactions": ["user_id", "book_id", "is_finished"],
}
"""What of the marts the promises read."""
PROMISES: Mapping[str, Mapping[str, str]] = {
    "user_recommendations": USER_RECOMMENDATIONS,
    "similar_books": SIMILAR_BOOKS,
    "popular_books": POPULAR_BOOKS,
}
