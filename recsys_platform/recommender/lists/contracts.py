"""Data contract checks of the published tables: sentences with SQL that counts violations.

`{user_recommendations}`, `{similar_books}`, `{popular_books}` and `{model_roles}` are the tables of the version to be published;
`{dim_users}`, `{dim_books}` and `{fct_interactions}` are the marts that the lists were built from (the live marts may be newer);
`{models}` holds the names of the published models. The checks depend on the list rules: `{excluded}` (book_id), `{promoted}`
(book_id, rank) and `{book_categories}` (book_id, category) exist if the rules exclude, promote or cap.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from string import Template

REASON_OF_PROMOTED = "promoted"
TABLES = ("user_recommendations", "similar_books", "popular_books", "model_roles")
ContractChecks = Mapping[str, str]


@dataclass(frozen=True)
class AppliedRules:
    """The list rules that the checks depend on; the defaults are those of the platform.

    `finished`, `rejected`, `unavailable`, `premium`: whether such books are left out. `own_language`: whether readers only get books
    in their language. `excluding`, `promoting`: whether any book is excluded or promoted. `most_of_a_category`: the cap per list,
    None for no cap.
    """

    finished: bool = True
    rejected: bool = True
    unavailable: bool = True
    premium: bool = True
    own_language: bool = False
    excluding: bool = False
    promoting: bool = False
    most_of_a_category: int | None = None


def contract_checks(rules: AppliedRules) -> Mapping[str, ContractChecks]:
    """Return the checks by table, for lists built by these rules."""
    return {
        "user_recommendations": _list_checks(rules),
        "similar_books": {**_SIMILAR_BOOKS, **(_NO_EXCLUDED_SIMILAR if rules.excluding else {})},
        "popular_books": _popular_checks(rules),
        "model_roles": _MODEL_ROLES,
    }


def _list_checks(rules: AppliedRules) -> ContractChecks:
    found = {
        "every reader with a book left that the rules allow has a list of every model": _fill_template(
            _EVERY_READER, rules
        )
    }
    kept = {
        _NOT_REJECTED: rules.rejected,
        _NOT_PREMIUM: rules.premium,
        _NOT_FINISHED: rules.finished,
        _AVAILABLE: rules.unavailable,
        _OWN_LANGUAGE: rules.own_language,
        _NOT_EXCLUDED: rules.excluding,
        _PROMOTED: rules.promoting,
    }
    found |= {sentence: _fill_template(_BY_RULE[sentence], rules) for sentence, holds in kept.items() if holds}
    if rules.most_of_a_category is not None:
        most = str(rules.most_of_a_category)
        found[f"no list holds more than {most} books of a category besides promoted ones"] = Template(_CAP).substitute(
            most=most
        )
    return {**found, **_ALWAYS}


def _popular_checks(rules: AppliedRules) -> ContractChecks:
    found = dict(_POPULAR_BOOKS)
    found["there is a list for everyone"] = _fill_template(_FOR_EVERYONE, rules)
    return {**found, **(_NO_EXCLUDED_POPULAR if rules.excluding else {})}


def _fill_template(sql: str, rules: AppliedRules) -> str:
    gone = [text for text, holds in ((_FINISHED, rules.finished), (_REJECTED, rules.rejected)) if holds]
    with_rules = Template(sql).safe_substitute(offers=_OFFERS)
    return Template(with_rules).substitute(
        gone=" or ".join(gone) or "false",
        available="is_available" if rules.unavailable else "true",
        unexcluded="book_id not in (select book_id from {excluded})" if rules.excluding else "true",
        is_free="coalesce(tier = 'free', false)" if rules.premium else "false",
        language=_PRIMARY_LANGUAGE if rules.own_language else "''",
    )


_FINISHED, _REJECTED = "i.is_finished", "i.weight < 0 or i.last_action in ('Book Removed', 'Recommendation Dismissed')"
_PRIMARY_LANGUAGE = "lower(trim(split_part(split_part(coalesce(language, ''), '-', 1), '_', 1)))"
# Every join is many to one in any join order: readers × books would be too many rows.
_OFFERS = """
        with readers_known as (select user_id, $is_free as is_free, $language as language from {dim_users}),
        books as (
            select book_id, coalesce(is_premium, false) as is_premium, $language as language from {dim_books}
            where $available and $unexcluded
        ),
        totals as (select count(*) as books, count(case when not is_premium then 1 end) as free_books from books),
        by_language as (
            select language, count(*) as books, count(case when not is_premium then 1 end) as free_books
            from books where language <> '' group by language
        ),
        counted as (
            select r.user_id, r.is_free, r.language, case when r.is_free then t.free_books else t.books end as books,
                coalesce(case when r.is_free then l.free_books else l.books end, 0) as own_books
            from readers_known as r cross join totals as t left join by_language as l on l.language = r.language
        ),
        readers as (
            select user_id, is_free, language, own_books > 0 as has_own,
                case when own_books > 0 then own_books else books end as books
            from counted
        )"""
_EVERY_READER = """$offers,
        gone as (
            select i.user_id, count(*) as books
            from {fct_interactions} as i
            inner join readers as r on r.user_id = i.user_id
            inner join books as b on b.book_id = i.book_id
            where ($gone) and not (b.is_premium and r.is_free) and (b.language = r.language or not r.has_own)
            group by i.user_id
        ),
        left_over as (
            select r.user_id from readers as r left join gone as g on g.user_id = r.user_id
            where coalesce(g.books, 0) < r.books
        ),
        expected as (select l.user_id, m.model from left_over as l cross join {models} as m),
        listed as (select distinct user_id, model from {user_recommendations})
        select count(*) from expected as e left join listed as r on r.user_id = e.user_id and r.model = e.model
        where r.user_id is null"""

_NOT_REJECTED = "no list holds a book that its reader dislikes, or removed or dismissed last"
_NOT_PREMIUM = "no reader on the free tier is offered a premium book"
_NOT_FINISHED = "no list holds a book that its reader has finished"
_AVAILABLE = "every recommended book is available"
_OWN_LANGUAGE = "readers are offered books in their language alone, where it is known and any is offered in it"
_NOT_EXCLUDED = "no list holds an excluded book"
_PROMOTED = "only promoted books have the reason promoted, and none is below its rank"
_BY_RULE: ContractChecks = {
    _NOT_REJECTED: """
        select count(*) from {user_recommendations} as r
        where (r.user_id, r.book_id) in (select user_id, book_id from {fct_interactions}
            where weight < 0 or last_action in ('Book Removed', 'Recommendation Dismissed'))""",
    _NOT_PREMIUM: """
        select count(*) from {user_recommendations} as r
        inner join {dim_users} as u on u.user_id = r.user_id and u.tier = 'free'
        inner join {dim_books} as b on b.book_id = r.book_id and b.is_premium""",
    _NOT_FINISHED: """
        select count(*) from {user_recommendations} as r
        where (r.user_id, r.book_id) in (select user_id, book_id from {fct_interactions} where is_finished)""",
    _AVAILABLE: """
        select count(*) from {user_recommendations} as r
        left join {dim_books} as b on b.book_id = r.book_id and b.is_available
        where b.book_id is null""",
    _OWN_LANGUAGE: """$offers
        select count(*) from {user_recommendations} as r
        inner join readers as u on u.user_id = r.user_id
        left join books as b on b.book_id = r.book_id
        where u.has_own and (b.book_id is null or (b.is_premium and u.is_free) or b.language <> u.language)""",
    _NOT_EXCLUDED: "select count(*) from {user_recommendations} where book_id in (select book_id from {excluded})",
    _PROMOTED: """
        select count(*) from {user_recommendations} as r left join {promoted} as p on p.book_id = r.book_id
        where (p.book_id is not null) <> (coalesce(r.reason, '') = 'promoted') or r.rank > p.rank""",
}
_CAP = """
        select count(*) from (
            select r.user_id, r.model, c.category
            from {user_recommendations} as r inner join {book_categories} as c on c.book_id = r.book_id
            where r.reason <> 'promoted'
            group by r.user_id, r.model, c.category having count(*) > $most) as too_many"""


def _rank_gaps_sql(table: str, of_list: str, book: str) -> str:
    """SQL that counts lists with gaps or duplicates in their ranks, or with duplicate books.

    Counting distinct ranks would take ten times as long. Instead ranks are summed as powers of two, 40 ranks at a time: n ranks add up
    to 2^n - 1 only if they are the first n, each once.
    """
    return f"""
        select count(*) from (
            select {of_list} from (
                select {of_list}, count(*) as books, min(rank) as first, max(rank) as last,
                    case when count(*) <= 40 and sum(power(2, mod(rank - 1, 40))) = power(2, count(*)) - 1 then 0 else 1 end as gaps
                from {{{table}}} group by {of_list}, floor((rank - 1) / 40)
            ) as parts
            group by {of_list} having min(first) <> 1 or max(last) <> sum(books) or sum(gaps) > 0
            union
            select {of_list} from {{{table}}} group by {of_list}, {book} having count(*) > 1) as uneven"""


_ALWAYS: ContractChecks = {
    "a book that is given as the reason was finished by its reader": """
        select count(*) from {user_recommendations} as r
        where r.because_book_id is not null and (r.user_id, r.because_book_id) not in (
            select user_id, book_id from {fct_interactions} where is_finished)""",
    "every book but a promoted one has a score, and a promoted one has no because_book_id": """
        select count(*) from {user_recommendations} as r
        where (r.score is null) <> (coalesce(r.reason, '') = 'promoted')
            or (r.reason = 'promoted' and r.because_book_id is not null)""",
    "ranks run from 1 without gaps and no book is twice in a list": _rank_gaps_sql(
        "user_recommendations", "user_id, model", "book_id"
    ),
}
_SIMILAR_BOOKS: ContractChecks = {
    "ranks of similar books run from 1 without a gap": _rank_gaps_sql(
        "similar_books", "book_id, model", "similar_book_id"
    ),
    "no book is similar to itself and every similar book is available": """
        select count(*) from {similar_books} as s
        left join {dim_books} as b on b.book_id = s.similar_book_id
        where s.book_id = s.similar_book_id or not coalesce(b.is_available, false)""",
}
_NO_EXCLUDED_SIMILAR: ContractChecks = {
    "no excluded book is similar to another": """
        select count(*) from {similar_books} where similar_book_id in (select book_id from {excluded})""",
}
_MODEL_ROLES: ContractChecks = {
    "one model is live": "select case when sum(case when is_live then 1 else 0 end) = 1 then 0 else 1 end from {model_roles}",
    "the models are those that were published, each once": """
        select abs(count(*) - (select count(*) from {models})) + count(*) - count(distinct m.model)
        from {model_roles} as r left join {models} as m on m.model = r.model""",
}
_POPULAR_BOOKS: ContractChecks = {
    "ranks of popular books run from 1 without a gap": _rank_gaps_sql("popular_books", "segment", "book_id"),
    "every popular book is available": """
        select count(*) from {popular_books} as p
        left join {dim_books} as b on b.book_id = p.book_id and b.is_available
        where b.book_id is null""",
}
_FOR_EVERYONE = """
        select case when count(case when p.segment = 'all' then 1 end) = 0 then 1 else 0 end from {popular_books} as p
        where (select count(*) from {dim_books} where is_available and $unexcluded) > 0"""
_NO_EXCLUDED_POPULAR: ContractChecks = {
    "no excluded book is popular": """
        select count(*) from {popular_books} where book_id in (select book_id from {excluded})""",
}
CHECK_INPUTS: Mapping[str, list[str]] = {
    "dim_users": ["user_id", "tier", "language"],
    "dim_books": ["book_id", "is_available", "is_premium", "language"],
    "fct_interactions": ["user_id", "book_id", "is_finished", "last_action", "weight"],
}
"""The columns of the marts that the checks read."""
