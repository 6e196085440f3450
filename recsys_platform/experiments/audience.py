"""The audience of an experiment: a predicate over what a gateway knows of a reader, and the same in SQL.

Belongs here: what may be asked, and the answer. Does not: where a gateway knows it from (serving/).
"""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

Language = Annotated[str, Field(pattern=r"^[a-z]{2,3}$")]


@dataclass(frozen=True)
class Reader:
    """What is known of a reader when a request is routed. `language`: a primary subtag, empty if unknown."""

    language: str = ""
    is_free: bool = False
    is_guest: bool = False


UNKNOWN = Reader()


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Audience:
    """The readers who may take part; all that is given must hold.

    `languages`: those who read in one of them. `tier`: `not_free` has those whose tier is unknown too, as lists have. `readers`:
    with an account or without one.
    """

    languages: tuple[Language, ...] = ()
    tier: Literal["any", "free", "not_free"] = "any"
    readers: Literal["all", "signed_in", "guests"] = "all"

    def has(self, reader: Reader) -> bool:
        """Whether a reader is of the audience."""
        return (
            (not self.languages or reader.language in self.languages)
            and (self.tier == "any" or reader.is_free == (self.tier == "free"))
            and (self.readers == "all" or reader.is_guest == (self.readers == "guests"))
        )

    @property
    def condition(self) -> str:
        """The same as a condition of SQL over `user_id`, `language` and `tier` of `marts.dim_users`, where guests have no row."""
        languages = ", ".join(f"'{each}'" for each in self.languages)
        parts = [f"language in ({languages})"] if languages else []
        parts += [f"coalesce(tier, '') {'=' if self.tier == 'free' else '!='} 'free'"] if self.tier != "any" else []
        parts += [f"user_id is {'null' if self.readers == 'guests' else 'not null'}"] if self.readers != "all" else []
        return " and ".join(parts) or "true"
