"""Ids of visitors as the world has them: of all scripts, with quotes, colons, marks and blanks, empty and very long ones."""

import random

_SCRIPTS = (
    (0x21, 0x7E), (0xA1, 0x24F), (0x300, 0x36F), (0x391, 0x3C9), (0x410, 0x44F), (0x5D0, 0x5EA), (0x620, 0x64A), (0x905, 0x939),
    (0xE01, 0xE3A), (0x3041, 0x3096), (0x4E00, 0x9FA5), (0xAC00, 0xD7A3), (0x1F300, 0x1F5FF), (0x20000, 0x2A6DF),
)  # fmt: skip
_ODD = (
    "", " ", ":", "::", "'", "''", '"', "a:b", "trial:u1", "\\", "\t", "\n", "%s", "?", "{}", "null", "0", "-1", "a" * 500, "u\u00a0",
    "e\u0301", "\u00e9", "\u200d", "\u202e", "\U0001f469\u200d\U0001f52c" * 50,
)  # fmt: skip


def units_of_all_scripts(count: int) -> list[str]:
    """So many different ids: odd ones, plain ones, and texts of one or two scripts."""
    chance = random.Random(7)
    found = dict.fromkeys(_ODD)
    found |= dict.fromkeys(f"u{number:07d}" for number in range(count // 10))
    while len(found) < count:
        found[_text(chance) + (_text(chance) if chance.random() < 0.5 else "")] = None
    return list(found)[:count]


def _text(chance: random.Random) -> str:
    first, last = chance.choice(_SCRIPTS)
    return "".join(chr(chance.randint(first, last)) for _ in range(chance.randint(1, 8)))
