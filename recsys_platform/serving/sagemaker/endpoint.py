"""Model versions behind an endpoint of SageMaker, and the share of traffic that each gets.

Belongs here: models, endpoint configurations, endpoints, weights. Does not: the archive (archive.py), whether a variant should get
more.

What SageMaker calls a model and a configuration cannot be changed. So what they consist of is part of their names, and making one
twice is making it once.
"""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, Literal

from botocore.exceptions import ClientError

from recsys_platform.common.aws import client, code_of, in_one_sentence
from recsys_platform.serving.errors import DeployError

STEPS = (0.05, 0.25, 0.5, 1.0)
"""The shares of traffic of a ramp."""
LONGEST = 63
_A_NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}")
_SAME = 1e-6  # SageMaker keeps weights in 32 bits
_PATIENCE = {"Delay": 15, "MaxAttempts": 60}  # seconds, tries: a quarter of an hour
Json = dict[str, Any]


@dataclass(frozen=True)
class Container:
    """What runs a model: an image that answers `/ping` and `/invocations`, the role it has, and its environment; no secrets."""

    image: str
    role_arn: str
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Variant:
    """A model of SageMaker (`create_model`) behind an endpoint; its share of traffic is its weight by the sum of all weights."""

    name: str
    model: str
    weight: float = 1.0
    instance_type: str = "ml.m5.large"
    instances: int = 1

    def __post_init__(self) -> None:
        """Refuse what SageMaker would."""
        checked_name(self.name)
        if not 0 <= self.weight < float("inf") or self.instances < 1:
            raise DeployError(f"The variant {self.name} needs a weight of 0 or more and at least one instance.")

    @property
    def request(self) -> Json:
        """The variant as SageMaker is told of it."""
        return {
            "VariantName": self.name,
            "ModelName": self.model,
            "InitialVariantWeight": self.weight,
            "InstanceType": self.instance_type,
            "InitialInstanceCount": self.instances,
        }


@dataclass(frozen=True)
class Endpoint:
    """Variants that share the traffic, and one that gets a copy of it and whose answers nobody sees (`shadow`).

    The shadow's weight by that of the variant is the share of requests that are copied.
    """

    name: str
    variants: tuple[Variant, ...]
    shadow: Variant | None = None

    def __post_init__(self) -> None:
        """Refuse what SageMaker would."""
        checked_name(self.configuration)
        names = [each.name for each in self._all]
        if len(names) != len(set(names)):
            raise DeployError(f"Variants of {self.name} share a name: {', '.join(names)}.")
        if not sum(each.weight for each in self.variants):
            raise DeployError(f"No variant of {self.name} would get traffic: give one a weight.")
        if self.shadow and len(self.variants) != 1:
            raise DeployError(
                f"SageMaker shadows one variant, and {self.name} has {len(self.variants)}: end the ramp first."
            )

    @property
    def configuration(self) -> str:
        """The name of its configuration: what is in it makes it another."""
        return name_of(self.name, _digest(self._told)[:12])

    @property
    def request(self) -> Json:
        """The configuration as SageMaker is told of it."""
        return {"EndpointConfigName": self.configuration, **self._told}

    @property
    def _told(self) -> Json:
        told: Json = {"ProductionVariants": [each.request for each in self.variants]}
        return told | ({"ShadowProductionVariants": [self.shadow.request]} if self.shadow else {})

    @property
    def _all(self) -> tuple[Variant, ...]:
        return (*self.variants, self.shadow) if self.shadow else self.variants


@dataclass(frozen=True)
class SageMaker:
    """SageMaker in the account and region of the credentials; what AWS refuses is a `HubError` of one sentence."""

    def create_model(self, name: str, version: str, data_url: str, container: Container) -> str:
        """Make a version of our registry a model of SageMaker, unless it is one; SageMaker's name of it.

        Another image, role, environment or address of the archive makes another model.
        """
        model = model_name(name, version, data_url, container)
        request = _model_request(model, data_url, container)
        tags = [{"Key": "recsys:model", "Value": name}, {"Key": "recsys:version", "Value": version}]
        with in_one_sentence(f"create the model {model} of SageMaker"):
            if _found(self.client.describe_model, ModelName=model) is None:
                self.client.create_model(**request, Tags=tags)
        return model

    def deploy(self, endpoint: Endpoint) -> Literal["created", "updated", "unchanged"]:
        """Let an endpoint be as described, without waiting for it; one that is stays as it is, with the weights it has by now.

        An update begins with the weights of the description, and SageMaker replaces instances one after another.
        """
        names = {"EndpointName": endpoint.name, "EndpointConfigName": endpoint.configuration}
        with in_one_sentence(f"deploy the endpoint {endpoint.name} of SageMaker"):
            if _found(self.client.describe_endpoint_config, EndpointConfigName=endpoint.configuration) is None:
                self.client.create_endpoint_config(**endpoint.request)
            there = _found(self.client.describe_endpoint, EndpointName=endpoint.name)
            if there is None:
                self.client.create_endpoint(**names)
                return "created"
            if there["EndpointConfigName"] == endpoint.configuration:
                return "unchanged"
            self.client.update_endpoint(**names)
            return "updated"

    def wait(self, endpoint: str) -> None:
        """Wait until an endpoint is in service; `HubError` if it fails or takes a quarter of an hour."""
        with in_one_sentence(f"wait for the endpoint {endpoint} of SageMaker"):
            waiter = self.client.get_waiter("endpoint_in_service")
            waiter.wait(EndpointName=endpoint, WaiterConfig=_PATIENCE)

    def weights(self, endpoint: str) -> dict[str, float]:
        """The weights that an endpoint has or is getting, by variant."""
        with in_one_sentence(f"look at the endpoint {endpoint} of SageMaker"):
            described = self.client.describe_endpoint(EndpointName=endpoint)
        return {each["VariantName"]: float(each.get("DesiredWeight") or 0) for each in described["ProductionVariants"]}

    def shift(self, endpoint: str, variant: str, share: float) -> bool:
        """Give a variant a share (0 to 1) of the traffic, the others the rest; whether that was new.

        Waits while the endpoint is being changed, before and not after, since SageMaker takes one change at a time.
        """
        before = self.weights(endpoint)
        wanted = weights_for(before, variant, share)
        if all(abs(shares(before)[name] - weight) < _SAME for name, weight in wanted.items()):
            return False
        self.wait(endpoint)
        desired = [{"VariantName": name, "DesiredWeight": weight} for name, weight in wanted.items()]
        with in_one_sentence(f"give {variant} {share:.0%} of the traffic of {endpoint}"):
            self.client.update_endpoint_weights_and_capacities(
                EndpointName=endpoint, DesiredWeightsAndCapacities=desired
            )
        return True

    def roll_back(self, endpoint: str, variant: str) -> bool:
        """Take all traffic from a variant; its instances stay, ready for another try. Whether it had any."""
        return self.shift(endpoint, variant, 0.0)

    @cached_property
    def client(self) -> Any:
        """SageMaker itself."""
        return client("sagemaker")


def weights_for(weights: Mapping[str, float], variant: str, share: float) -> dict[str, float]:
    """Weights, adding up to 1, by which a variant gets a share (0 to 1) and the others the rest.

    The others keep their proportions, or get equal parts if they had none of the traffic.
    """
    others = {name: weight for name, weight in weights.items() if name != variant}
    if variant not in weights or not others:
        raise DeployError(f"There are no two variants of which one is {variant}: there are {', '.join(weights)}.")
    if not 0 <= share <= 1:
        raise DeployError(f"A share of traffic is between 0 and 1, not {share}.")
    parts = shares(others)
    return {name: round(share if name == variant else (1 - share) * parts[name], 6) for name in weights}


def shares(weights: Mapping[str, float]) -> dict[str, float]:
    """The shares of traffic (0 to 1) that weights stand for; equal ones if there is no weight at all."""
    total = sum(weights.values())
    return {name: weight / total if total else 1 / len(weights) for name, weight in weights.items()}


def next_share(share: float) -> float:
    """The next step of the ramp: the first of `STEPS` above a share, at last all."""
    return next((step for step in STEPS if step > share + _SAME), 1.0)


def model_name(name: str, version: str, data_url: str, container: Container) -> str:
    """SageMaker's name of a version of our registry, with eight digits that stand for what runs it and where it lies."""
    return name_of(name, version, _digest({"data": data_url, **asdict(container)})[:8])


def name_of(*parts: str) -> str:
    """A name of SageMaker from parts, hyphens for whatever it does not take; `DeployError` if it is too long or empty."""
    return checked_name("-".join(re.sub(r"[^a-zA-Z0-9]", "-", part) for part in parts))


def checked_name(name: str) -> str:
    """The name itself if SageMaker takes it."""
    if len(name) > LONGEST or not _A_NAME.fullmatch(name):
        raise DeployError(
            f"{name!r} cannot be a name in SageMaker: it takes letters, digits and hyphens between them, at most {LONGEST}."
        )
    return name


def _model_request(model: str, data_url: str, container: Container) -> Json:
    primary = {"Image": container.image, "ModelDataUrl": data_url, "Environment": dict(container.environment)}
    return {"ModelName": model, "PrimaryContainer": primary, "ExecutionRoleArn": container.role_arn}


def _found(describe: Callable[..., Json], **name: str) -> Json | None:
    """What SageMaker describes; None if it says that there is no such thing, for which it has no error of its own."""
    try:
        return describe(**name)
    except ClientError as error:
        message = str(error.response.get("Error", {}).get("Message", ""))
        if code_of(error) == "ValidationException" and message.lower().startswith("could not find"):
            return None
        raise


def _digest(told: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
