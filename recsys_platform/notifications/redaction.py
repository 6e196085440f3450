"""Remove secrets and e-mail addresses from texts that leave the platform."""

import re
from collections.abc import Iterator

from pydantic import SecretStr

from recsys_platform.config.settings import Settings

_REDACTED = "***"
_MIN_LINE = 16  # shortest line of a multi-line secret that is redacted by itself

# What looks like a secret, in the order of redaction: user and password in a URL, Slack webhooks, signed queries, `Bearer` tokens,
# values of names like `password`, JWTs, AWS access keys; and e-mail addresses.
_PATTERNS = (
    (re.compile(r"(?<=://)\S*@"), f"{_REDACTED}@"),
    (re.compile(r"(?<=://hooks\.slack\.com/)[^\s\"']+"), _REDACTED),
    (re.compile(r"(://[^\s?#]+[?#])[^\s\"']+"), rf"\1{_REDACTED}"),
    (re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{8,}"), rf"\1 {_REDACTED}"),
    (
        re.compile(
            r"(?i)([\w-]*(?:passw(?:or)?d|passphrase|pwd|secret|token|credential|signature|salt|(?:api|access|private)[_-]?key)"
            r"[\w-]*[\"']?\s*[=:]\s*)(\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'|\S+)"
        ),
        rf"\1{_REDACTED}",
    ),
    (re.compile(r"\beyJ[\w-]+\.[\w-]+\.[\w-]*"), _REDACTED),
    (re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"), _REDACTED),
    (re.compile(r"[^\s:@/\"'<(]+:[^\s@/]+@"), f"{_REDACTED}@"),
    (re.compile(r"[\w.+%-]+@[\w-]+(?:\.[\w-]+)+"), "[email]"),
)


def redact_secrets(text: str, settings: Settings) -> str:
    """The text without secret settings, and without anything that looks like a secret or an e-mail address."""
    for secret in _secret_values(settings):
        text = text.replace(secret, _REDACTED)
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text


def _secret_values(settings: Settings) -> Iterator[str]:
    """Every secret setting, and each of its longer lines: an error may quote a part of a private key."""
    for _, value in settings:
        if isinstance(value, SecretStr):
            yield value.get_secret_value()
            yield from (line for line in value.get_secret_value().splitlines() if len(line) >= _MIN_LINE)
