"""Words that programs write where there is no value, and those that stand for nobody.

Belongs here: the words, in lower case. Does not: what becomes of a value that is one. The dbt macros of `placeholders.sql`
hold the same words; a test compares them.
"""

# No value, in any column. `na` is missing from R, but also the code of Namibia: a country may be `NA`.
MISSING_WORDS = (
    "null", "(null)", "<null>", "nil", "none", "(none)", "nan", "-nan", "#nan", "nat", "na", "n/a", "#n/a", "#na", "<na>",
    "\\n", "undefined", "[object object]", "[object undefined]", "[object null]", "unknown", "(unknown)", "not set",
    "(not set)", "missing", "empty", "-", "--", "{}", "[]", '""', "''",
)  # fmt: skip
# Nobody and nothing, as an id. `0` is not among them: many data sets count from it.
NOBODY_WORDS = (
    "anonymous", "anon", "guest", "nobody", "not_authenticated", "unauthenticated", "not_logged_in", "true", "false", "-1",
    "00000000-0000-0000-0000-000000000000", "00000000000000000000000000000000",
)  # fmt: skip
BLANKS = " \t\n\v\f\r\xa0\u200b\ufeff"
_MISSING, _NO_ID = frozenset(MISSING_WORDS), frozenset(MISSING_WORDS + NOBODY_WORDS)


def is_missing(text: str, *, column: str = "") -> bool:
    """Whether a value of a column says that there is none: blank or one of `MISSING_WORDS`, in any case."""
    word = text.strip(BLANKS).lower()
    return not word or (word in _MISSING and not (word == "na" and column == "country"))


def is_no_id(text: str) -> bool:
    """Whether an id names nobody and nothing: blank, or one of `MISSING_WORDS` or `NOBODY_WORDS`, in any case."""
    word = text.strip(BLANKS).lower()
    return not word or word in _NO_ID
