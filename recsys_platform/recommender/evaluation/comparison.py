"""How two models differ on the same users.

Belongs here: the one figure that the evaluation measures and the gate judges, and what the models were asked. Does not: how it is
measured (evaluate.py), what follows from it (registry/gate.py).
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Task:
    """What models are asked: what readers with history `verb` next.

    `held_out`: empty where that is what came after one moment, else what was held out instead, and why.
    """

    verb: str = "liked"
    held_out: str = ""

    @property
    def in_words(self) -> str:
        """What was not as usual, to stand after a figure; empty if nothing was."""
        told = [f"what readers {self.verb} next"] if self.verb != "liked" else []
        return "; ".join([*told, *([self.held_out] if self.held_out else [])])


@dataclass(frozen=True)
class Difference:
    """The mean over users of a metric of `model` less that of `baseline`, with its 95 % interval from `low` to `high`.

    Both are measured on the same users, so the interval is that of paired values: what makes a user hard for both falls out of it.
    """

    model: str
    baseline: str
    metric: str
    segment: str
    value: float
    low: float
    high: float
    users: int
