"""Where alerts are sent: an incoming webhook (such as Slack's) and an SNS topic."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import httpx
import stamina
from pydantic import SecretStr

from recsys_platform.common.errors import RecsysError
from recsys_platform.common.http_logging import suppress_http_logs
from recsys_platform.config.settings import Settings
from recsys_platform.notifications.alerts import Alert

# A sensor tick of Dagster has a minute for up to five failed runs.
TIMEOUT_SECONDS, ATTEMPTS = 4.0, 2


class AlertError(RecsysError):
    """An alert could not be sent to every channel. `was_sent`: whether one took it."""

    def __init__(self, message: str, *, was_sent: bool = False) -> None:
        """See the class."""
        super().__init__(message)
        self.was_sent = was_sent


class Channel(Protocol):
    """A destination of alerts."""

    def send(self, alert: Alert) -> None:
        """Send an alert. Raises `RecsysError` with one sentence, without secrets, if that fails."""


@dataclass(frozen=True)
class Webhook:
    """An incoming webhook; its URL is a secret, since whoever knows it may post there."""

    url: SecretStr

    def send(self, alert: Alert) -> None:
        """Post the text; retried once after an error that may be temporary."""
        try:
            # A context block: the decorator would log the arguments, and so the URL, with each retry.
            for attempt in stamina.retry_context(on=_is_temporary, attempts=ATTEMPTS, timeout=None, wait_initial=0.5):
                with attempt, suppress_http_logs():
                    _post_text(self.url.get_secret_value(), alert.text)
        except _WebhookError as error:
            raise AlertError(f"The webhook in RECSYS_ALERT_WEBHOOK {error}.") from None


@dataclass(frozen=True)
class SnsTopic:
    """A standard SNS topic, by its ARN."""

    arn: str

    def send(self, alert: Alert) -> None:
        """Publish the alert; boto3 retries."""
        from recsys_platform.common.aws import client, translate_aws_errors  # boto3 takes half a second to import

        with translate_aws_errors(f"publish to {self.arn}"):
            client("sns").publish(TopicArn=self.arn, Subject=alert.subject, Message=alert.text)


def channels_of(settings: Settings) -> list[Channel]:
    """The channels that the settings name."""
    webhook = [Webhook(settings.alert_webhook)] if settings.alert_webhook else []
    return [*webhook, *([SnsTopic(settings.alert_topic)] if settings.alert_topic else [])]


def notify(alert: Alert, channels: Sequence[Channel]) -> None:
    """Send an alert to every channel, also after one has failed; then raises `AlertError` about those that failed.

    Its `was_sent` says whether another channel took the alert, which must not get it again.
    """
    errors = []
    for channel in channels:
        try:
            channel.send(alert)
        except RecsysError as error:
            errors.append(str(error))
    if errors:
        raise AlertError(" ".join(errors), was_sent=len(errors) < len(channels))


class _WebhookError(Exception):
    """A request that failed, described without its URL."""

    def __init__(self, message: str, *, is_temporary: bool) -> None:
        super().__init__(message)
        self.is_temporary = is_temporary


def _is_temporary(error: Exception) -> bool:
    return isinstance(error, _WebhookError) and error.is_temporary


def _post_text(url: str, text: str) -> None:
    try:
        response = httpx.post(url, json={"text": _escape_slack(text)}, timeout=TIMEOUT_SECONDS)
    except httpx.InvalidURL:
        raise _WebhookError("is not a valid URL", is_temporary=False) from None
    except httpx.HTTPError as error:
        raise _WebhookError(f"did not answer ({type(error).__name__})", is_temporary=True) from None
    if not response.is_success:
        temporary = response.is_server_error or response.status_code == httpx.codes.TOO_MANY_REQUESTS
        raise _WebhookError(f"answered {response.status_code}", is_temporary=temporary)


def _escape_slack(text: str) -> str:
    """Text that Slack shows literally: `<!channel>` in an error must notify nobody."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
