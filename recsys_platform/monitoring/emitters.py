"""Where samples go, by the setting RECSYS_METRICS."""

import datetime as dt
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from recsys_platform.config.settings import Settings
from recsys_platform.monitoring.emf import emf_lines
from recsys_platform.monitoring.metrics import Sample


class Emitter(Protocol):
    """Sends samples somewhere."""

    def emit(self, samples: Sequence[Sample], now: dt.datetime) -> None:
        """Send samples of a time (UTC with its time zone). Raises RecsysError with one sentence if that fails."""


@dataclass(frozen=True)
class EmfEmitter:
    """Writes lines to the standard output, whose log CloudWatch makes metrics of."""

    deployment: str

    def emit(self, samples: Sequence[Sample], now: dt.datetime) -> None:
        """Write samples; each line by itself, since other threads write there too."""
        for line in emf_lines(samples, self.deployment, now):
            sys.stdout.write(f"{line}\n")
        sys.stdout.flush()


def emitter_of(settings: Settings) -> Emitter | None:
    """What the settings name; None if metrics are off."""
    if settings.metrics == "emf":
        return EmfEmitter(settings.deployment)
    if settings.metrics == "otlp":
        from recsys_platform.monitoring.otlp import OtlpEmitter  # half a second of imports

        return OtlpEmitter(settings.deployment)
    return None
