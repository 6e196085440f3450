"""Placeholders that programs write for a missing value or an anonymous user.

Belongs here: the words, in lower case. Does not: how such a value is handled. The dbt macros of `placeholders.sql` hold the same
words; a test compares them.
"""

# A missing value, in any column, also in quotes. `na` is R's missing value, but also the code of Namibia: a country may be `NA`.
MISSING_WORDS = (
    "null", "(null)", "<null>", "nul", "nil", "<nil>", "none", "(none)", "<none>", "nan", "-nan", "#nan", "nat", "na", "n/a", "#n/a",
    "#na", "<na>", "\\n", "undefined", "undefined undefined", "null null", "[object object]", "[object undefined]", "[object null]",
    "(unknown)", "(not set)", "-", "--", "{}", "[]", '""', "''",
)  # fmt: skip
# A missing value in any column but the title: there are novels called Missing and Unknown.
OPEN_WORDS = ("unknown", "not set", "missing", "empty")
OPEN_COLUMNS = ("title",)
# Ids that identify nobody. `0` is not among them: many data sets count from it.
NOBODY_WORDS = (
    "anonymous", "anonymoususer", "anonymous user", "anonymous_user", "anon", "guest", "nobody", "not_authenticated",
    "not authenticated", "unauthenticated", "not_logged_in", "not-logged-in", "not logged in", "notloggedin", "logged_out",
    "logged-out", "logged out", "loggedout", "true", "false", "-1", "0000000000000000", "00000000-0000-0000-0000-000000000000",
    "00000000000000000000000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff", "ffffffffffffffffffffffffffffffff",
)  # fmt: skip
# Code points that are stripped from both ends of a value: blanks, also zero-width ones, and C's terminating zero byte.
BLANK_CODES = (
    0, 9, 10, 11, 12, 13, 32, 133, 160, 5760, *range(8192, 8204), 8232, 8233, 8239, 8287, 8288, 12288, 65279,
)  # fmt: skip
BLANKS = "".join(map(chr, BLANK_CODES))
_MISSING, _OPEN, _NOBODY = frozenset(MISSING_WORDS), frozenset(OPEN_WORDS), frozenset(NOBODY_WORDS)
TEMPLATES = ("${", "{{", "<%")  # the start of a template that was not filled in


def is_missing(text: str, *, column: str = "") -> bool:
    """Whether a value is missing: blank or a placeholder for a missing value, in upper or lower case."""
    word = _normalized_word(text)
    if word in _OPEN:
        return column not in OPEN_COLUMNS
    return not word or (word in _MISSING and not (word == "na" and column == "country"))


def is_no_id(text: str) -> bool:
    """Whether an id identifies nobody: missing, one of `NOBODY_WORDS`, or a template that was not filled in."""
    word = _normalized_word(text)
    return is_missing(word) or word in _NOBODY or word.startswith(TEMPLATES)


def _normalized_word(text: str) -> str:
    """The text in lower case without blanks around it, then without quotes."""
    return text.strip(BLANKS).lower().strip("'\"")
