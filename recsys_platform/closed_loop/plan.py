"""What happens in the closed loop, week by week, and how far a world has come.

Belongs here: acts, weeks, what was done. Does not: doing it (driver.py).
"""

import datetime as dt
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from recsys_platform.common.atomic_write import replace_file
from recsys_platform.common.clock import utc_today
from recsys_platform.common.errors import InputError
from recsys_platform.simulation.responses import Habits

FILE = "loop.json"
HISTORY_DAYS = 7
"""Days of events of trackers, before there are recommendations."""
WEEK, CANARY_WEEKS = 7, 2
HABITS = Habits(length=10, appeal=0.8, boredom=0.95, sameness=0.85)
"""How the readers of the loop respond: they ask for short lists, click often, and are not bored soon."""


class Act(StrEnum):
    """What the API shows, in this order."""

    POPULARITY = "popularity"
    LIGHTFM = "LightFM"
    EXPERIMENT = "experiment"
    CANARY = "canary"
    BAD_MODEL = "bad model"


CANARIES = (Act.CANARY, Act.BAD_MODEL)


@dataclass(frozen=True)
class LoopPlan:
    """The size of a loop. `weeks`: of each of the first three acts; a canary has two at most. `start`: a Monday."""

    readers: int
    books: int
    seed: int
    weeks: int
    start: dt.date

    @property
    def days(self) -> int:
        """All days, those of the trackers included."""
        return [*self.all_weeks()][-1].days.stop

    def all_weeks(self) -> Iterator["Week"]:
        """The weeks in which readers use the API, in order."""
        first = HISTORY_DAYS
        for act in Act:
            for number in range(CANARY_WEEKS if act in CANARIES else self.weeks):
                # The newest day of the marts is not over: the last day of an experiment is read on the next one.
                length = WEEK + (act is Act.EXPERIMENT and number == self.weeks - 1)
                yield Week(act, number, range(first, first + length))
                first += length

    def weeks_of(self, act: Act) -> list["Week"]:
        """The weeks of an act."""
        return [week for week in self.all_weeks() if week.act is act]

    def day(self, number: int) -> dt.date:
        """The date of a day, counted from 0."""
        return self.start + dt.timedelta(days=number)


@dataclass(frozen=True)
class Week:
    """A week of an act, counted from 0, and its days, counted from the first day of the world."""

    act: Act
    number: int
    days: range

    @property
    def name(self) -> str:
        """For progress: `LightFM, week 2`."""
        return f"{self.act}, week {self.number + 1}"


def plan_until_yesterday(*, readers: int, books: int, seed: int, weeks: int) -> LoopPlan:
    """A plan that begins on a Monday and ends before today."""
    any_start = LoopPlan(readers, books, seed, weeks, dt.date(2024, 1, 1))
    latest = utc_today() - dt.timedelta(days=any_start.days)
    return LoopPlan(readers, books, seed, weeks, latest - dt.timedelta(days=latest.weekday()))


@dataclass
class LoopRecord:
    """How far a loop has come. Kept in a file after each step, and after each day of a canary.

    `done`: the names of the steps that are done, with what they found. `canaries`: the version and the days of each canary that was
    begun, by act.
    """

    plan: LoopPlan
    done: dict[str, Any] = field(default_factory=dict)
    canaries: dict[str, dict[str, Any]] = field(default_factory=dict)

    def save(self, folder: Path) -> None:
        """Write the record to a folder, in one step."""
        folder.mkdir(parents=True, exist_ok=True)
        content = {"plan": asdict(self.plan) | {"start": self.plan.start.isoformat()}, "done": self.done}
        content["canaries"] = self.canaries
        replace_file(folder / FILE, json.dumps(content, indent=2, default=str) + "\n")


def load_record(folder: Path) -> LoopRecord | None:
    """The record in a folder; None if no loop was begun there. Raises InputError if it cannot be read."""
    path = folder / FILE
    if not path.exists():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        plan = content["plan"] | {"start": dt.date.fromisoformat(content["plan"]["start"])}
        return LoopRecord(LoopPlan(**plan), content["done"], content.get("canaries", {}))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} cannot be read: set RECSYS_HOME to another folder to begin a new loop.") from error
