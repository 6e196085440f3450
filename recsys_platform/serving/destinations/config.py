"""The file of destinations, `destinations.yaml`: which receivers get which events, and what of them.

Belongs here: its validation, building the receivers and their queues. Does not: the receivers.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, field_validator, model_validator

from recsys_platform.common.errors import RecsysError
from recsys_platform.common.strict_yaml import read_yaml
from recsys_platform.common.validation import first_problem
from recsys_platform.serving.delivery import DeliveryQueue
from recsys_platform.serving.destinations.selection import BOOK_PROPERTIES, Selection
from recsys_platform.serving.destinations.sending import Receiver, in_batches
from recsys_platform.serving.exposures import LANDING

_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
_URL = r"^(https://[^\s/@]+|http://(127\.0\.0\.1|localhost)(:\d+)?)(/\S*)?$"
_MIB = 2**20
Variable = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]*$")]
"""The name of an environment variable that holds a secret."""
Environment = Mapping[str, str]


class DestinationsError(RecsysError):
    """The file of destinations cannot be read, or is not valid."""


class _Destination(BaseModel, ABC):
    """What all kinds share. Whether ids of users go out as they are must be said for each."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    user_ids: Literal["plain", "hashed"]
    hash_key_env: Variable | None = None
    events: tuple[str, ...] = ()
    properties: tuple[str, ...] = BOOK_PROPERTIES
    keep_mib: Annotated[int, Field(ge=1)] = 1024

    @field_validator("hash_key_env", "secret_env", "write_key_env", "tracking_id_env", check_fields=False)
    @classmethod
    def _not_a_setting(cls, name: str | None) -> str | None:
        if name and name.startswith("RECSYS_"):
            raise ValueError("names that begin with RECSYS_ are settings: choose another")
        return name

    @model_validator(mode="after")
    def _key_for_hashes(self) -> "_Destination":
        if (self.user_ids == "hashed") != (self.hash_key_env is not None):
            raise ValueError("`hash_key_env` belongs to `user_ids: hashed`: give both or neither")
        return self

    def selection(self, environment: Environment) -> Selection:
        """What of an event goes out."""
        key = _secret(environment, self.hash_key_env).encode() if self.hash_key_env else None
        return Selection(frozenset(self.events), frozenset(self.properties), key)

    @abstractmethod
    def receiver(self, environment: Environment) -> Receiver:
        """What sends."""


class _Webhook(_Destination):
    type: Literal["webhook"]
    url: Annotated[str, Field(pattern=_URL)]
    secret_env: Variable

    def receiver(self, environment: Environment) -> Receiver:
        from recsys_platform.serving.destinations.http import webhook

        return webhook(self.url, _secret(environment, self.secret_env))


class _Segment(_Destination):
    type: Literal["segment"]
    url: Annotated[str, Field(pattern=_URL)] = "https://api.segment.io"
    write_key_env: Variable

    def receiver(self, environment: Environment) -> Receiver:
        from recsys_platform.serving.destinations.http import segment

        return segment(self.url, _secret(environment, self.write_key_env))


class _Personalize(_Destination):
    type: Literal["personalize"]
    tracking_id_env: Variable

    def selection(self, environment: Environment) -> Selection:
        from recsys_platform.serving.destinations.personalize import POSITIVE_EVENTS

        chosen = super().selection(environment)
        return Selection(chosen.names or frozenset(POSITIVE_EVENTS), chosen.properties, chosen.hash_key)

    def receiver(self, environment: Environment) -> Receiver:
        from recsys_platform.serving.destinations.personalize import Personalize

        return Personalize(_secret(environment, self.tracking_id_env))


class _Kinesis(_Destination):
    type: Literal["kinesis"]
    stream: Annotated[str, Field(pattern=r"^[a-zA-Z0-9_.-]{1,128}$")]

    def receiver(self, environment: Environment) -> Receiver:
        from recsys_platform.serving.destinations.streams import Kinesis

        return Kinesis(self.stream)


class _Firehose(_Destination):
    type: Literal["firehose"]
    stream: Annotated[str, Field(pattern=r"^[a-zA-Z0-9_.-]{1,64}$")]

    def receiver(self, environment: Environment) -> Receiver:
        from recsys_platform.serving.destinations.streams import Firehose

        return Firehose(self.stream)


DestinationConfig = Annotated[_Webhook | _Segment | _Personalize | _Kinesis | _Firehose, Field(discriminator="type")]


def load_destinations(path: Path) -> dict[str, DestinationConfig]:
    """Read the destinations of a YAML file. Raises DestinationsError, which says what is wrong where."""
    try:
        content = read_yaml(path)
    except (OSError, ValueError) as error:
        raise DestinationsError(f"The destinations cannot be read from {path}: {error}.") from error
    return parse_destinations(content or {}, where=str(path))


def parse_destinations(content: Any, *, where: str = "The destinations") -> dict[str, DestinationConfig]:
    """Validate the content of a file of destinations: a mapping from names to destinations."""
    if not isinstance(content, Mapping):
        raise DestinationsError(f"{where} must be a mapping from names to destinations.")
    return {name: _parse_destination(name, each, where) for name, each in content.items()}


def queues_of(
    destinations: Mapping[str, DestinationConfig], folder: Path, environment: Environment
) -> list[DeliveryQueue]:
    """The queues of destinations in a folder. Raises DestinationsError for a secret that is not in the environment."""
    return [_queue_of(name, each, folder, environment) for name, each in destinations.items()]


def _queue_of(name: str, config: DestinationConfig, folder: Path, environment: Environment) -> DeliveryQueue:
    try:
        receiver, selection = config.receiver(environment), config.selection(environment)
    except _MissingSecretError as error:
        raise DestinationsError(f"The destination {name} needs the environment variable {error}: set it.") from None
    return DeliveryQueue(name, folder / name, in_batches(receiver), select=selection, keep_bytes=config.keep_mib * _MIB)


def _parse_destination(name: Any, content: Any, where: str) -> DestinationConfig:
    if not isinstance(name, str) or not _NAME.fullmatch(name) or name == LANDING:
        raise DestinationsError(
            f"{where}: {name} is not a name of a destination: use letters, digits and _, and not `{LANDING}`."
        )
    try:
        found: DestinationConfig = TypeAdapter(DestinationConfig).validate_python(content)
    except ValidationError as error:
        # The first part of the place is the type. A value may be a secret that stands in the wrong place.
        words = first_problem(error, place_from=1, shows_value=False)
        raise DestinationsError(f"{where}: {name}, {words}.") from error
    return found


class _MissingSecretError(Exception):
    """An environment variable is not set; the message is its name."""


def _secret(environment: Environment, name: str) -> str:
    value = environment.get(name, "")
    if not value:
        raise _MissingSecretError(name)
    return value
