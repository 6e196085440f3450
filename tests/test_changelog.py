"""The changelog: a section a version, newest first; the newest is the version of the package."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
HEADING = re.compile(r"(\d+\.\d+\.\d+) \((unreleased|\d{4}-\d{2}-\d{2})\)")


def test_the_newest_version_is_that_of_the_package_and_only_it_may_be_unreleased() -> None:
    headings = [HEADING.fullmatch(line) for line in re.findall(r"^## (.*)$", PAGE, re.MULTILINE)]
    found = [each.groups() for each in headings if each]
    assert len(found) == len(headings) > 0
    assert found[0][0] == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert [version for version, date in found[1:] if date == "unreleased"] == []
    numbers = [tuple(map(int, version.split("."))) for version, _ in found]
    assert numbers == sorted(set(numbers), reverse=True)


def test_every_entry_stands_under_what_was_added_changed_fixed_or_removed() -> None:
    for version in PAGE.split("\n## ")[1:]:
        preamble, *sections = version.split("\n### ")
        assert "\n- " not in preamble
        titles = [section.partition("\n")[0] for section in sections]
        assert titles
        assert titles == [title for title in ("Added", "Changed", "Fixed", "Removed") if title in titles]
