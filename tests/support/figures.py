"""Figures of an evaluation that a test writes down."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from recsys_platform.recommender.evaluation.comparison import Difference, Task


@dataclass(frozen=True)
class Figures:
    """NDCG by model; every difference is sure to ± `spread`, in segments as given by `worse`: (model, segment) → difference."""

    ndcg: Mapping[str, float]
    spread: float = 0.01
    worse: Mapping[tuple[str, str], float] = field(default_factory=dict)
    users: int = 1000
    segments: Sequence[str] = ("all", "1-4")

    against: Sequence[str] | None = None
    task: Task = field(default_factory=Task)

    @property
    def models(self) -> Sequence[str]:
        return tuple(self.ndcg)

    @property
    def baselines(self) -> Sequence[str]:
        return self.models if self.against is None else self.against

    def value(self, model: str, metric: str = "ndcg", segment: str = "all") -> float:
        return self.ndcg[model]

    def difference(self, model: str, baseline: str, *, metric: str = "ndcg", segment: str = "all") -> Difference:
        gap = self.worse.get((model, segment), self.ndcg[model] - self.ndcg[baseline])
        return Difference(model, baseline, metric, segment, gap, gap - self.spread, gap + self.spread, self.users)
