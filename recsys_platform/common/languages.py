"""The primary language subtag of a text: `en` for `eng`, `EN`, `en-US`, `en_GB` and `English`.

Belongs here: language codes and names from Babel's copy of the Unicode CLDR. Does not: how a text that names no language is handled.
`dbt_project/macros/languages.sql` holds the same tables for SQL. `python -m recsys_platform.common.languages` writes it, and a
test compares them.
"""

import re
from functools import cache
from pathlib import Path

from babel import Locale, UnknownLocaleError
from babel.core import get_global

NO_LANGUAGE = ("und", "mul", "mis", "zxx", "root")  # codes for several languages, an unknown one or none
_CODE = re.compile("[a-z]{2,3}")
_MACRO = Path(__file__).parents[2] / "dbt_project" / "macros" / "languages.sql"


def primary_subtag(text: str) -> str | None:
    """The primary language subtag of a language code, locale or language name; None if it names no language."""
    word = text.strip().lower()
    named = language_names().get(word)
    if named is not None:
        return named
    code = re.split("[-_.@]", word)[0]
    if not _CODE.fullmatch(code) or code in NO_LANGUAGE:
        return None
    return language_codes().get(code, code)


@cache
def language_codes() -> dict[str, str]:
    """Aliases of two- or three-letter codes, such as `eng`, `ger` and `iw` → the preferred code."""
    aliases = {code: target.split("_")[0] for code, target in get_global("language_aliases").items()}
    return {code: target for code, target in sorted(aliases.items()) if _CODE.fullmatch(code) and code != target}


@cache
def language_names() -> dict[str, str]:
    """Names of languages with a two-letter code, in English and in the language itself, lower case → code."""
    english = {code: name for code, name in Locale("en").languages.items() if len(code) == 2}
    codes = {name.lower(): language_codes().get(code, code) for code, name in sorted(english.items())}
    for code in sorted(english):
        codes.setdefault(_native_name(code, english[code]).lower(), language_codes().get(code, code))
    return {name: code for name, code in codes.items() if not _CODE.fullmatch(name)}


def _native_name(code: str, default: str) -> str:
    try:
        return str(Locale(code).languages.get(code, default))
    except UnknownLocaleError:
        return default


def _render_macro(name: str, words: dict[str, str]) -> str:
    lines = [f"        '{word.replace(chr(39), chr(92) + chr(39))}': '{code}'," for word, code in words.items()]
    return "\n".join((f"{{% macro {name}() -%}}", "    {{ return({", *lines, "    }) }}", "{%- endmacro %}"))


def write_macros() -> None:
    """Write the dbt macros with these tables."""
    header = "{# Written by `python -m recsys_platform.common.languages` from the Unicode CLDR in Babel. Not to be edited. #}"
    tables = (_render_macro("language_codes", language_codes()), _render_macro("language_names", language_names()))
    _MACRO.write_text("\n\n".join((header, *tables)) + "\n")


if __name__ == "__main__":
    write_macros()
