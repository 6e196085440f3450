"""What the published tables promise their readers: each sentence with SQL that counts what breaks it.

`{user_recommendations}`, `{similar_books}` and `{popular_books}` stand for the tables of the version to be published, `{dim_users}`,
`{dim_books}` and `{fct_interactions}` for the marts that the lists were made from (the live ones may have gone on since), and
`{models}` for the names of the models published.
"""

from collections.abc import Mapping

USER_RECOMMENDATIONS: Mapping[str, str] = {
    "every reader with a book left that the rules allow has a list of every model": """
        with gone as (
            select i.user_id, count(*) as books
            from {fct_interactions} as i
            inner join {dim_books} as b on i.book_id = b.book_id
            inner join {dim_users} as u on i.user_id = u.user_id
            where (i.is_finished or i.last_action in ('Book Removed', 'Recommendation Dismissed'))
                and b.is_available and not (coalesce(b.is_premium, false) and coalesce(u.tier = 'free', false))
            group by i.user_id
        ),
        offered as (
            select count(*) as books, count(case when not coalesce(is_premium, false) then 1 end) as free_books
            from {dim_books} where is_available
        ),
        left_over as (
            select u.user_id from {dim_users} as u cross join offered as o left join gone as g on g.user_id = u.user_id
            where coalesce(g.books, 0) < case when coalesce(u.tier = 'free', false) then o.free_books else o.books end
        ),
        expected as (select l.user_id, m.model from left_over as l cross join {models} as m),
        listed as (select distinct user_id, model from {user_recommendations})
        select count(*) from expected as e left join listed as r on r.user_id = e.user_id and r.model = e.model
        where r.user_id is null""",
    "no list holds a book that its reader removed or dismissed last": """
        select count(*) from {user_recommendations} as r
        where (r.user_id, r.book_id) in (select user_id, book_id from {fct_interactions}
            where last_action in ('Book Removed', 'Recommendation Dismissed'))""",
    "no reader on the free tier is offered a premium book": """
        select count(*) from {user_recommendations} as r
        inner join {dim_users} as u on u.user_id = r.user_id and u.tier = 'free'
        inner join {dim_books} as b on b.book_id = r.book_id and b.is_premium""",
    "no list holds a book that its reader has finished": """
        select count(*) from {user_recommendations} as r
        where (r.user_id, r.book_id) in (select user_id, book_id from {fct_interactions} where is_finished)""",
    "every recommended book is available": """
        select count(*) from {user_recommendations} as r
        left join {dim_books} as b on b.book_id = r.book_id and b.is_available
        where b.book_id is null""",
    "a book that is given as the reason was finished by its reader": """
        select count(*) from {user_recommendations} as r
        where r.because_book_id is not null and (r.user_id, r.because_book_id) not in (
            select user_id, book_id from {fct_interactions} where is_finished)""",
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
    "dim_users": ["user_id", "tier"],
    "dim_books": ["book_id", "is_available", "is_premium"],
    "fct_interactions": ["user_id", "book_id", "is_finished", "last_action"],
}
"""What of the marts the promises read."""
PROMISES: Mapping[str, Mapping[str, str]] = {
    "user_recommendations": USER_RECOMMENDATIONS,
    "similar_books": SIMILAR_BOOKS,
    "popular_books": POPULAR_BOOKS,
}
