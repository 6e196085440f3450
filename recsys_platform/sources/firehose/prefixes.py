"""S3 prefixes of Firehose, with expressions such as `!{timestamp:yyyy/MM/dd/HH}`.

Source: https://docs.aws.amazon.com/firehose/latest/dev/s3-prefixes.html. Of Java's date patterns, the letters for
year to second are supported; a pattern with any other letter is refused.
"""

import datetime as dt
import re
import uuid

from recsys_platform.common.errors import SettingsError
from recsys_platform.hub.layout import LANDING, Source

LONGEST = 512
DEFAULT_TIME = "!{timestamp:yyyy/MM/dd/HH/}"
ERROR_TYPE = "!{firehose:error-output-type}"

_EXPRESSION = re.compile(r"!\{(?P<namespace>[^:{}]*):(?P<value>[^{}]*)\}")
_TOKEN = re.compile(
    r"'(?P<quoted>(?:[^']|'')*)'|(?P<letters>(?P<letter>[A-Za-z])(?P=letter)*)|(?P<literal>[^A-Za-z'\[\]{}#])"
)
_FIELDS = {"y": "year", "M": "month", "d": "day", "H": "hour", "m": "minute", "s": "second"}
_SAMPLE = dt.datetime(2026, 11, 20, 5, tzinfo=dt.UTC)


def landing_prefixes(source: Source) -> tuple[str, str]:
    """The prefix of landing objects of a source, and the error prefix for what Firehose could not deliver."""
    time = "!{timestamp:yyyy/MM/dd/HH}/"
    return f"{LANDING}/source={source}/{time}", f"delivery_errors/{ERROR_TYPE}/source={source}/{time}"


def complete_prefixes(prefix: str, error_prefix: str | None) -> tuple[str, str]:
    """Both prefixes with the defaults that Firehose appends. Raises `SettingsError` where it would refuse the stream."""
    if ERROR_TYPE in prefix:
        raise SettingsError(f"The prefix {prefix} holds {ERROR_TYPE}, which only an error prefix may.")
    if error_prefix is None and _EXPRESSION.search(prefix):
        raise SettingsError(f"The prefix {prefix} has expressions: give an error prefix beside it.")
    if error_prefix and _EXPRESSION.search(error_prefix) and ERROR_TYPE not in error_prefix:
        raise SettingsError(f"The error prefix {error_prefix} has expressions, but not {ERROR_TYPE}: add it.")
    made = (
        prefix if _has_time(prefix) else prefix + DEFAULT_TIME,
        f"{prefix}{ERROR_TYPE}/{DEFAULT_TIME}" if error_prefix is None else error_prefix,
    )
    for each in made:
        evaluate_prefix(each, _SAMPLE, error_output_type="processing-failed")
    return made


def evaluate_prefix(prefix: str, arrived: dt.datetime, *, error_output_type: str = "") -> str:
    """The prefix of an object whose first record arrived at this time (with its zone). Raises `SettingsError` if it is invalid."""
    if "!{" in _EXPRESSION.sub("", prefix):
        raise SettingsError(f"The prefix {prefix} holds `!{{` outside of an expression `!{{namespace:value}}`.")
    at = arrived.astimezone(dt.UTC)
    text = _EXPRESSION.sub(
        lambda found: _evaluate_expression(found["namespace"], found["value"], at, error_output_type), prefix
    )
    if len(text) > LONGEST:
        raise SettingsError(f"The prefix {prefix} has {len(text)} characters when evaluated: at most {LONGEST}.")
    return text


def _has_time(prefix: str) -> bool:
    return any(found["namespace"] == "timestamp" for found in _EXPRESSION.finditer(prefix))


def _evaluate_expression(namespace: str, value: str, at: dt.datetime, error_output_type: str) -> str:
    if namespace == "timestamp":
        return format_time(value, at)
    if (namespace, value) == ("firehose", "random-string"):
        return str(uuid.uuid4())[:11]
    if (namespace, value) == ("firehose", "error-output-type"):
        return error_output_type
    raise SettingsError(
        f"!{{{namespace}:{value}}} is not a supported expression: use timestamp, firehose:random-string or"
        " firehose:error-output-type."
    )


def format_time(pattern: str, at: dt.datetime) -> str:
    """Format a time by a pattern of Java's DateTimeFormatter: y M d H m s, and literals (letters in single quotes)."""
    parts, end = [], 0
    while end < len(pattern):
        token = _TOKEN.match(pattern, end)
        if token is None:
            raise SettingsError(f"The time pattern {pattern} cannot be read from {pattern[end:]} on: quote literals.")
        parts.append(_format_token(token, pattern, at))
        end = token.end()
    return "".join(parts)


def _format_token(token: re.Match[str], pattern: str, at: dt.datetime) -> str:
    if token["quoted"] is not None:
        return token["quoted"].replace("''", "'") or "'"
    if token["literal"] is not None:
        return token["literal"]
    letters, field = token["letters"], _FIELDS.get(token["letter"])
    if field is None or len(letters) > (4 if field == "year" else 2):
        raise SettingsError(f"{letters} in the time pattern {pattern} is not supported: use yyyy MM dd HH mm ss.")
    number = getattr(at, field) % 100 if letters == "yy" else getattr(at, field)
    return f"{number:0{len(letters)}d}"
