"""The shelves of a home page, from one YAML file: which there are, from what, for whom.

Belongs here: reading and validating that file. Does not: what is on a shelf (gateway/home.py).
"""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from recsys_platform.common.errors import RecsysError
from recsys_platform.common.strict_yaml import read_yaml
from recsys_platform.common.validation import first_problem
from recsys_platform.experiments.assignment import Name
from recsys_platform.recommender.registry.versions import PRODUCTION

DEFAULTS = files("recsys_platform").joinpath("config", "shelves.yaml")
BOOK = "{book}"
Count = Annotated[int, Field(ge=1, le=100, strict=True)]
Title = Annotated[str, Field(min_length=1, strict=True)]


class ShelvesError(RecsysError):
    """The file of shelves cannot be read or contradicts itself."""


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class ShelfRule:
    """One shelf. `titles`: by language, the first is for all others. `size`, `least`: how many books, at most and at least.

    `model`: an alias or a version, for the source `model`. `language`: whether only books in the reader's language. `when`: for whom.
    """

    name: Name
    source: Literal["model", "because_finished", "popular", "new"]
    titles: Annotated[dict[str, Title], Field(min_length=1)]
    model: Annotated[str, Field(min_length=1, strict=True)] = PRODUCTION
    size: Count | None = None
    least: Count = 1
    categories: tuple[Annotated[str, Field(min_length=1, strict=True)], ...] = ()
    language: Literal["any", "own"] = "any"
    when: Literal["always", "with_history", "without_history"] = "always"

    def title_in(self, language: str) -> str:
        """The title in a language, or the first one."""
        return self.titles.get(language) or next(iter(self.titles.values()))


@cache
def default_shelves() -> tuple[ShelfRule, ...]:
    """The shelves of the package."""
    return parse_shelves(read_yaml(Path(str(DEFAULTS))), where=str(DEFAULTS))


def parse_shelves(content: Any, *, where: str = "The shelves") -> tuple[ShelfRule, ...]:
    """Validate the content of a file of shelves: a mapping from names to shelves, from top to bottom."""
    if not isinstance(content, Mapping) or not content:
        raise ShelvesError(f"{where} must be a mapping from names to shelves, with at least one.")
    return tuple(_parse_shelf(name, each, where) for name, each in content.items())


def _parse_shelf(name: Any, content: Any, where: str) -> ShelfRule:
    if not isinstance(content, Mapping) or "title" not in content or "titles" in content or "name" in content:
        raise ShelvesError(f"{where}: {name} needs a `source` and a `title`, and has no other name than that.")
    values = {key: value for key, value in content.items() if key != "title"}
    title = content["title"]
    titles = {"": title} if isinstance(title, str) else title
    try:
        shelf = TypeAdapter(ShelfRule).validate_python({**values, "name": name, "titles": titles})
    except ValidationError as error:
        raise ShelvesError(f"{where}: {name}, {first_problem(error).replace('titles', 'title')}.") from error
    if problem := _contradiction(shelf, content):
        raise ShelvesError(f"{where}: {name} {problem}.")
    return shelf


def _contradiction(shelf: ShelfRule, given: Mapping[str, Any]) -> str | None:
    if "model" in given and shelf.source != "model":
        return "names a model, which only the source `model` asks"
    if shelf.source != "because_finished" and any(BOOK in title for title in shelf.titles.values()):
        return f"has {BOOK} in its title, which only the source `because_finished` knows"
    if shelf.size is not None and shelf.size < shelf.least:
        return f"needs at least {shelf.least} books and holds {shelf.size}: raise `size` or lower `least`"
    if shelf.source == "because_finished" and shelf.when == "without_history":
        return "is for readers without history, who have finished nothing"
    return None
