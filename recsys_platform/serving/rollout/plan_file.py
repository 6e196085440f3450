"""How a canary climbs in this world, from one YAML file.

Belongs here: reading and validating that file. Does not: the plan itself (experiments/canary.py).
"""

from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError

from recsys_platform.common.errors import RecsysError
from recsys_platform.common.strict_yaml import read_yaml
from recsys_platform.common.validation import first_problem
from recsys_platform.config.settings import Settings
from recsys_platform.config.world_files import CANARY_PLAN, world_file
from recsys_platform.experiments.canary import CanaryPlan
from recsys_platform.experiments.metric_days import METRICS
from recsys_platform.serving.answer_counts import BOUNDS_MS
from recsys_platform.serving.rollout.record import CanaryError

EVENTS = ("errors", "slow")
"""What is counted of answers."""


def load_plan(settings: Settings) -> CanaryPlan:
    """Read the plan of a world. Raises CanaryError."""
    path = world_file(settings, CANARY_PLAN)
    try:
        return parse_plan(read_yaml(path), where=str(path))
    except (OSError, ValueError) as error:
        raise CanaryError(f"{path} cannot be read: {error}.") from error


def parse_plan(content: Any, *, where: str = "The plan of canaries") -> CanaryPlan:
    """Validate the content of a plan; the default plan if it is empty. Raises CanaryError."""
    if content is not None and not isinstance(content, Mapping):
        raise CanaryError(f"{where} must be a mapping, such as `stages: [1, 10, 100]`.")
    unknown = sorted(set(content or {}) - set(CanaryPlan.__dataclass_fields__))
    if unknown:
        raise CanaryError(f"{where}: there is no {unknown[0]}; known are {', '.join(CanaryPlan.__dataclass_fields__)}.")
    try:
        plan = TypeAdapter(CanaryPlan).validate_python(dict(content or {}))
    except ValidationError as error:
        raise CanaryError(f"{where}: {first_problem(error)}.") from error
    except RecsysError as error:
        raise CanaryError(f"{where}: {error}") from error
    _check_names(plan, where)
    return plan


def _check_names(plan: CanaryPlan, where: str) -> None:
    known = {
        "tolerated_ratios": (plan.tolerated_ratios, EVENTS),
        "hard_limits": (plan.hard_limits, EVENTS),
        "tolerated_losses": (plan.tolerated_losses, tuple(name for name in METRICS if METRICS[name].higher_is_better)),
    }
    for field, (given, names) in known.items():
        wrong = next((name for name in given if name not in names), None)
        if wrong is not None:
            raise CanaryError(f"{where}: {field}: there is no {wrong}; known are {', '.join(names)}.")
    if plan.slow_over_ms not in BOUNDS_MS:
        raise CanaryError(f"{where}: slow_over_ms must be one of {', '.join(map(str, BOUNDS_MS))}.")
