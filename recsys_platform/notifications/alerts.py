"""Tell people of a run that failed or another problem: one short message, to an incoming webhook (such as Slack's) and a topic of SNS.

Belongs here: the words, what is cut out of them, and sending. Does not: which runs failed (defs/automation/alerts.py).
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import httpx
import stamina
from pydantic import SecretStr

from recsys_platform.common.errors import RecsysError
from recsys_platform.common.http_logging import discreet_http
from recsys_platform.config.settings import Settings

LONGEST_ERROR = 300
MOST_PROBLEMS = 10
LONGEST_SUBJECT = 99  # SNS takes fewer than 100 characters, ASCII without line breaks
# A tick of Dagster's has a minute for up to five failed runs.
TIMEOUT_SECONDS, ATTEMPTS = 4.0, 2
_HIDDEN = "***"
_LINE = 16  # characters of a secret's line that is hidden by itself; a shorter one is in too many words

# What looks like a secret, first what may hold others: user and password in a URL, webhooks, signed queries, words after
# `Bearer`, values of names like `password`, tokens (JWT), access keys of AWS; and e-mail addresses, as in marts.
_PATTERNS = (
    (re.compile(r"(?<=://)\S*@"), f"{_HIDDEN}@"),
    (re.compile(r"(?<=://hooks\.slack\.com/)[^\s\"']+"), _HIDDEN),
    (re.compile(r"(://[^\s?#]+[?#])[^\s\"']+"), rf"\1{_HIDDEN}"),
    (re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{8,}"), rf"\1 {_HIDDEN}"),
    (
        re.compile(
            r"(?i)([\w-]*(?:passw(?:or)?d|passphrase|pwd|secret|token|credential|signature|salt|(?:api|access|private)[_-]?key)"
            r"[\w-]*[\"']?\s*[=:]\s*)(\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'|\S+)"
        ),
        rf"\1{_HIDDEN}",
    ),
    (re.compile(r"\beyJ[\w-]+\.[\w-]+\.[\w-]*"), _HIDDEN),
    (re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"), _HIDDEN),
    (re.compile(r"[^\s:@/\"'<(]+:[^\s@/]+@"), f"{_HIDDEN}@"),
    (re.compile(r"[\w.+%-]+@[\w-]+(?:\.[\w-]+)+"), "[email]"),
)


class AlertError(RecsysError):
    """An alert did not reach everybody it was meant for."""


@dataclass(frozen=True)
class FailedRun:
    """What is told of a run: its job, its first failed step (empty if none ran), and what Dagster says went wrong."""

    job: str
    run_id: str
    step: str = ""
    error: str = ""
    is_tried_again: bool = False


@dataclass(frozen=True)
class Alert:
    """A subject for where there is one, and the whole message."""

    subject: str
    text: str


class Channel(Protocol):
    """One way to people. Raises `RecsysError` of one sentence without secrets if it is closed."""

    def send(self, alert: Alert) -> None:
        """Send it, or say why it could not be sent."""


@dataclass(frozen=True)
class Webhook:
    """An incoming webhook: whoever knows its address may write there, so the address is a secret."""

    url: SecretStr

    def send(self, alert: Alert) -> None:
        """Post the text; tried again once where the trouble may pass."""
        try:
            # A context block: the decorator would tell loggers of retries what it calls with.
            for attempt in stamina.retry_context(on=_may_pass, attempts=ATTEMPTS, timeout=None, wait_initial=0.5):
                with attempt, discreet_http():
                    _post(self.url.get_secret_value(), alert.text)
        except _Trouble as trouble:
            raise AlertError(f"The webhook in RECSYS_ALERT_WEBHOOK {trouble}.") from None


@dataclass(frozen=True)
class Topic:
    """A standard topic of SNS, by its ARN."""

    arn: str

    def send(self, alert: Alert) -> None:
        """Publish it; boto3 tries again by itself."""
        from recsys_platform.common.aws import client, in_one_sentence  # boto3 costs half a second

        with in_one_sentence(f"publish to {self.arn}"):
            client("sns").publish(TopicArn=self.arn, Subject=alert.subject, Message=alert.text)


def channels_of(settings: Settings) -> list[Channel]:
    """Where the settings want alerts to go."""
    webhook = [Webhook(settings.alert_webhook)] if settings.alert_webhook else []
    return [*webhook, *([Topic(settings.alert_topic)] if settings.alert_topic else [])]


def alert_of(failed: FailedRun, settings: Settings) -> Alert:
    """The words for a run, without secrets."""
    where = f" at {failed.step}" if failed.step else ""
    again = "; it is tried again" if failed.is_tried_again else ""
    link = f": {str(settings.ui_url).rstrip('/')}/runs/{failed.run_id}" if settings.ui_url else ""
    lines = [f"{failed.job} failed{where}{again}.", first_line(failed.error, settings), f"Run {failed.run_id}{link}"]
    subject = f"recsys: {failed.job} failed".encode("ascii", "replace").decode()
    return Alert(subject[:LONGEST_SUBJECT], "\n".join(line for line in lines if line))


def problem_alert(sentences: Sequence[str], settings: Settings) -> Alert:
    """The words for problems that are no failed run, without secrets."""
    lines = [first_line(sentence, settings) for sentence in sentences[:MOST_PROBLEMS]]
    more = [f"And {len(sentences) - MOST_PROBLEMS} more."] if len(sentences) > MOST_PROBLEMS else []
    link = [str(settings.ui_url)] if settings.ui_url else []
    subject = f"recsys: {len(sentences)} problem{'s' * (len(sentences) != 1)}"
    return Alert(subject, "\n".join([*lines, *more, *link]))


def tell(alert: Alert, channels: Sequence[Channel]) -> None:
    """Send to every channel, whichever others are closed; `AlertError` names those at the end."""
    troubles = []
    for channel in channels:
        try:
            channel.send(alert)
        except RecsysError as error:
            troubles.append(str(error))
    if troubles:
        raise AlertError(" ".join(troubles))


def first_line(error: str, settings: Settings) -> str:
    """The first line of an error, with the next one if it only announces that; no secret, no more than fits a message."""
    lines = [line.strip() for line in error.strip().splitlines() if line.strip()]
    said = " ".join(lines[: 2 if lines and lines[0].endswith(":") else 1])
    hidden = without_secrets(said, settings)
    return hidden if len(hidden) <= LONGEST_ERROR else f"{hidden[:LONGEST_ERROR]}…"


def without_secrets(text: str, settings: Settings) -> str:
    """A text without the secrets of the settings, and without what looks like another."""
    for secret in _secrets_of(settings):
        text = text.replace(secret, _HIDDEN)
    for pattern, instead in _PATTERNS:
        text = pattern.sub(instead, text)
    return text


def _secrets_of(settings: Settings) -> Iterator[str]:
    """Every secret setting, and each line of it: of a private key an error may quote a part."""
    for _, value in settings:
        if isinstance(value, SecretStr):
            yield value.get_secret_value()
            yield from (line for line in value.get_secret_value().splitlines() if len(line) >= _LINE)


class _Trouble(Exception):  # noqa: N818 - not an error yet: it may pass
    """A request that failed, in words without its address."""

    def __init__(self, what: str, *, may_pass: bool) -> None:
        super().__init__(what)
        self.may_pass = may_pass


def _may_pass(error: Exception) -> bool:
    return isinstance(error, _Trouble) and error.may_pass


def _post(url: str, text: str) -> None:
    try:
        response = httpx.post(url, json={"text": _plain(text)}, timeout=TIMEOUT_SECONDS)
    except httpx.InvalidURL:
        raise _Trouble("is no address", may_pass=False) from None
    except httpx.HTTPError as error:
        raise _Trouble(f"did not answer ({type(error).__name__})", may_pass=True) from None
    if not response.is_success:
        passing = response.is_server_error or response.status_code == httpx.codes.TOO_MANY_REQUESTS
        raise _Trouble(f"answered {response.status_code}", may_pass=passing)


def _plain(text: str) -> str:
    """Text that Slack shows as it is: `<!channel>` in an error wakes nobody."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
