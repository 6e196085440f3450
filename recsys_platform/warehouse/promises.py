"""What the published tables promise their readers: each sentence with SQL that counts what breaks it.

`{user_recommendations}`, `{similar_books}` and `{popular_books}` stand for the tables of the version to be published, `{dim_users}`,
`{dim_books}` and `{fct_interactions}` for the marts that the lists were made from (the live ones may have gone on since), and
`{models}` for the names of the models published.
"""

from collections.abc import Mapping

USER_RECOMMENDATIONS: Mapping[str, str] = {
    "every reader with an unread book left has a list of every model": """
        with left_over as (
            select u.user_id from {dim_users} as u
            where (select count(*) from {dim_books} where is_available) > (
                select count(*) from {fct_interactions} as i join {dim_books} as b using (book_id)
                where i.user_id = u.user_id and i.is_finished and b.is_available)
        ),
        expected as (select user_id, model from left_over, {models})
        select count(*) from expected anti join {user_recommendations} using (user_id, model)""",
    "no list holds a book that its reader has finished": """
        select count(*) from {user_recommendations} as r
        semi join (from {fct_interactions} where is_finished) as i using (user_id, book_id)""",
    "every recommended book is available": """
        select count(*) from {user_recommendations} as r
        anti join (from {dim_books} where is_available) as b using (book_id)""",
    "ranks run from 1 without a gap and no book stands twice in a list": """
        select count(*) from (
            select user_id, model from {user_recommendations} group by all
            having max(rank) <> count(*) or count(distinct rank) <> count(*) or count(distinct book_id) <> count(*))""",
}
SIMILAR_BOOKS: Mapping[str, str] = {
    "ranks of similar books run from 1 without a gap": """
        select count(*) from (
            select book_id, model from {similar_books} group by all
            having max(rank) <> count(*) or count(distinct rank) <> count(*) or count(distinct similar_book_id) <> count(*))""",
    "no book is similar to itself and every similar book is available": """
        select count(*) from {similar_books} as s
        left join {dim_books} as b on b.book_id = s.similar_book_id
        where s.book_id = s.similar_book_id or not coalesce(b.is_available, false)""",
}
POPULAR_BOOKS: Mapping[str, str] = {
    "ranks of popular books run from 1 without a gap": """
        select count(*) from (
            select segment from {popular_books} group by all
            having max(rank) <> count(*) or count(distinct rank) <> count(*) or count(distinct book_id) <> count(*))""",
    "every popular book is available": """
        select count(*) from {popular_books} anti join (from {dim_books} where is_available) as b using (book_id)""",
    "there is a list for everyone": """
        select (count(*) filter (where segment = 'all') = 0)::int from {popular_books}
        where exists (from {dim_books} where is_available)""",
}
PROMISES: Mapping[str, Mapping[str, str]] = {
    "user_recommendations": USER_RECOMMENDATIONS,
    "similar_books": SIMILAR_BOOKS,
    "popular_books": POPULAR_BOOKS,
}
