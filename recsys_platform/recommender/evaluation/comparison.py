"""The difference of two models on the same users.

Belongs here: the data classes that the evaluation writes and the gate reads. Does not: how a difference is computed (evaluate.py),
what follows from it (registry/gate.py).
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Task:
    """The prediction task: which books readers with history `verb` next.

    `held_out`: empty for a split at one time, else the split that was used instead, and why.
    """

    verb: str = "liked"
    held_out: str = ""

    @property
    def description(self) -> str:
        """How the task differs from the default, to be put after a metric; empty if it does not."""
        parts = [f"what readers {self.verb} next"] if self.verb != "liked" else []
        return "; ".join([*parts, *([self.held_out] if self.held_out else [])])


@dataclass(frozen=True)
class Difference:
    """Mean over users of a metric of `model` minus that of `baseline`, with its 95 % interval from `low` to `high`.

    Both models are evaluated on the same users, so the interval is paired: variation between users cancels out.
    """

    model: str
    baseline: str
    metric: str
    segment: str
    value: float
    low: float
    high: float
    users: int
