"""Words that programs write where there is no value, and those that stand for nobody.

Belongs here: the words, in lower case. Does not: what becomes of a value that is one. The dbt macros of `placeholders.sql`
hold the same words; a test compares them.
"""

# No value, in any column, also in quotes. `na` is missing from R, but also the code of Namibia: a country may be `NA`.
MISSING_WORDS = (
    "null", "(null)", "<null>", "nul", "nil", "<nil>", "none", "(none)", "<none>", "nan", "-nan", "#nan", "nat", "na", "n/a", "#n/a",
    "#na", "<na>", "\\n", "undefined", "undefined undefined", "null null", "[object object]", "[object undefined]", "[object null]",
    "(unknown)", "(not set)", "-", "--", "{}", "[]", '""', "''",
)  # fmt: skip
# No value, but for a title: novels are called Missing and Unknown.
OPEN_WORDS = ("unknown", "not set", "missing", "empty")
OPEN_COLUMNS = ("title",)
# Nobody and nothing, as an id. `0` is not among them: many data sets count from it.
NOBODY_WORDS = (
    "anonymous", "anonymoususer", "anonymous user", "anonymous_user", "anon", "guest", "nobody", "not_authenticated",
    "not authenticated", "unauthenticated", "not_logged_in", "not-logged-in", "not logged in", "notloggedin", "logged_out",
    "logged-out", "logged out", "loggedout", "true", "false", "-1", "0000000000000000", "00000000-0000-0000-0000-000000000000",
    "00000000000000000000000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff", "ffffffffffffffffffffffffffffffff",
)  # fmt: skip
# The code points of what is no part of a value at its ends: blanks, some of no width, and the zero byte that ends texts in C.
BLANK_CODES = (
    0, 9, 10, 11, 12, 13, 32, 133, 160, 5760, *range(8192, 8204), 8232, 8233, 8239, 8287, 8288, 12288, 65279,
)  # fmt: skip
BLANKS = "".join(map(chr, BLANK_CODES))
_MISSING, _OPEN, _NOBODY = frozenset(MISSING_WORDS), frozenset(OPEN_WORDS), frozenset(NOBODY_WORDS)
TEMPLATES = ("${", "{{", "<%")  # how a template begins that nobody filled in


def is_missing(text: str, *, column: str = "") -> bool:
    """Whether a value of a column says that there is none: blank or a word that means nothing, in any case."""
    word = _word(text)
    if word in _OPEN:
        return column not in OPEN_COLUMNS
    return not word or (word in _MISSING and not (word == "na" and column == "country"))


def is_no_id(text: str) -> bool:
    """Whether an id names nobody and nothing: missing, one of `NOBODY_WORDS`, or a template that nobody filled in."""
    word = _word(text)
    return is_missing(word) or word in _NOBODY or word.startswith(TEMPLATES)


def _word(text: str) -> str:
    """A text as the words are written: without blanks around it, and quotes within those."""
    return text.strip(BLANKS).lower().strip("'\"")
