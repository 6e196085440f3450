"""Ids without personal data: an id that is an e-mail address becomes the salted hash that the marts have.

Belongs here: the hash of an id as the dbt macro `pseudonym` makes it; a test compares both. Does not: where the salt is kept.
"""

import hashlib
import re

_SIGNS = ("@", "%", "\uff20", "\ufe6b", "\\u")
"""Every address has one of these: looked for first, since the pattern costs more."""
_DELIMITERS = r"\s@<>(){}\",;:|=&?/"
_QUOTED = rf'"([^":,{{}}Z-^]|Z)*"|[^{_DELIMITERS}]*[Z-^]"[^":,{{}}]*"'
_AT = "(@|\uff20|\ufe6b|(%|u0025)(25)*40|u0040|u[fF][fF]20)"
_SIGN = rf"([^{_DELIMITERS}Z-^]|Z|[Z-^]+u[0-9a-fA-F]{{4}})"
_LETTER = rf"([^{_DELIMITERS}Z-^.0-9]|Z|[Z-^]+u00[4-7][0-9a-fA-F])"
_EMAIL = re.compile(
    rf"({_QUOTED}|[^{_DELIMITERS}]*[=&?/|<>()]*){_AT}{_SIGN}+([.]|[Z-^]+u002[eE]){_SIGN}*{_LETTER}{_SIGN}*",
    re.ASCII | re.IGNORECASE,
)


def holds_email(identifier: str) -> bool:
    """Whether an id is or holds an e-mail address, in any of the spellings that the marts know (`%40`, full width, escaped)."""
    return any(sign in identifier for sign in _SIGNS) and bool(_EMAIL.search(identifier))


class Pseudonyms:
    """Gives ids the form that they have in the marts. Without the salt every id stays as it is."""

    def __init__(self, salt: str | None = None) -> None:
        """`salt`: the secret that the warehouse hashes with."""
        self._salt = salt

    def of(self, identifier: str) -> str:
        """The id in the marts: 64 hexadecimal digits for an e-mail address, else the id itself."""
        if self._salt is None or not holds_email(identifier):
            return identifier
        plain = identifier.replace("%2540", "@").replace("%40", "@").replace("\uff20", "@")
        return hashlib.sha256(f"{self._salt}:{plain}".encode()).hexdigest()
