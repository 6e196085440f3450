"""Texts of alerts about failed runs and other problems, without secrets.

Belongs here: subject and text. Does not: redaction (redaction.py), sending (channels.py), which runs failed
(defs/automation/alerts.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from recsys_platform.config.settings import Settings
from recsys_platform.experiments.canary import Trouble
from recsys_platform.notifications.redaction import redact_secrets

MAX_ERROR_LENGTH = 300
MAX_PROBLEMS = 10
MAX_SUBJECT_LENGTH = 99  # SNS accepts fewer than 100 ASCII characters without line breaks


@dataclass(frozen=True)
class FailedRun:
    """A failed run: its job, its first failed step (empty if none ran), and Dagster's error message."""

    job: str
    run_id: str
    step: str = ""
    error: str = ""
    will_retry: bool = False


@dataclass(frozen=True)
class Alert:
    """A subject, for channels that have one, and the whole text."""

    subject: str
    text: str


def run_failure_alert(failed: FailedRun, settings: Settings) -> Alert:
    """The alert about a failed run."""
    where = f" at {failed.step}" if failed.step else ""
    retry = "; it will be retried" if failed.will_retry else ""
    link = f": {str(settings.ui_url).rstrip('/')}/runs/{failed.run_id}" if settings.ui_url else ""
    lines = [f"{failed.job} failed{where}{retry}.", first_line(failed.error, settings), f"Run {failed.run_id}{link}"]
    subject = f"recsys: {failed.job} failed".encode("ascii", "replace").decode()
    return Alert(subject[:MAX_SUBJECT_LENGTH], "\n".join(line for line in lines if line))


def problem_alert(sentences: Sequence[str], settings: Settings) -> Alert:
    """The alert about problems other than failed runs."""
    lines = [first_line(sentence, settings) for sentence in sentences[:MAX_PROBLEMS]]
    more = [f"And {len(sentences) - MAX_PROBLEMS} more."] if len(sentences) > MAX_PROBLEMS else []
    link = [str(settings.ui_url)] if settings.ui_url else []
    subject = f"recsys: {len(sentences)} problem{'s' * (len(sentences) != 1)}"
    return Alert(subject, "\n".join([*lines, *more, *link]))


_OF_CANARIES = {
    Trouble.ROLLED_BACK: (
        "a canary was rolled back",
        "was rolled back",
        "It stays so until a person releases it: `recsys canary`.",
    ),
    Trouble.BROKEN_BUT_PINNED: (
        "a pinned canary is broken",
        "is broken and keeps its visitors, because a person pinned it",
        "`recsys canary stop` takes all visitors from it, `recsys canary release` lets the tests decide.",
    ),
    Trouble.HELD: ("a canary waits for a person", "waits for a person", ""),
}
"""Subject, what happened, and what to do."""


def canary_alert(trouble: Trouble, label: str, reason: str, settings: Settings) -> Alert:
    """The alert about a canary. `label`: of the model version. `reason`: of its newest step."""
    subject, what, what_now = _OF_CANARIES[trouble]
    lines = [f"The canary of {label} {what}.", first_line(reason, settings), what_now, str(settings.ui_url or "")]
    return Alert(f"recsys: {subject}", "\n".join(filter(None, lines)))


def first_line(error: str, settings: Settings) -> str:
    """The first line of an error, and the second if the first ends with a colon; redacted, and cut to a message's length."""
    lines = [line.strip() for line in error.strip().splitlines() if line.strip()]
    head = " ".join(lines[: 2 if lines and lines[0].endswith(":") else 1])
    redacted = redact_secrets(head, settings)
    return redacted if len(redacted) <= MAX_ERROR_LENGTH else f"{redacted[:MAX_ERROR_LENGTH]}…"
