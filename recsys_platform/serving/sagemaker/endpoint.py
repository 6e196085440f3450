"""Model versions behind a SageMaker endpoint, and the share of traffic that each gets.

Belongs here: models, endpoint configurations, endpoints, weights. Does not: the archive (archive.py), which versions are deployed
(deployment.py).

SageMaker's models and endpoint configurations are immutable. A hash of their contents is part of their names, so that creating one
again does nothing.
"""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, Literal

from botocore.exceptions import ClientError

from recsys_platform.common.aws import client, error_code, translate_aws_errors
from recsys_platform.serving.errors import DeployError

STEPS = (0.05, 0.25, 0.5, 1.0)
"""The shares of traffic of a ramp, in order."""
LONGEST = 63
IN_SERVICE, _FAILED = "InService", "Failed"
_VALID_NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}")
_WEIGHT_TOLERANCE = 1e-6  # SageMaker keeps weights in 32 bits
_WAITER = {"Delay": 15, "MaxAttempts": 60}  # seconds, tries: a quarter of an hour
Json = dict[str, Any]


@dataclass(frozen=True)
class Container:
    """The container of a model: an image that answers `/ping` and `/invocations`, its IAM role, and its environment (no secrets)."""

    image: str
    role_arn: str
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Variant:
    """A SageMaker model (`create_model`) behind an endpoint; its share of traffic is its weight divided by the sum of all weights."""

    name: str
    model: str
    weight: float = 1.0
    instance_type: str = "ml.m5.large"
    instances: int = 1

    def __post_init__(self) -> None:
        """Validate as SageMaker does."""
        checked_name(self.name)
        if not 0 <= self.weight < float("inf") or self.instances < 1:
            raise DeployError(f"The variant {self.name} needs a weight of 0 or more and at least one instance.")

    @property
    def request(self) -> Json:
        """The variant in the form of SageMaker's API."""
        return {
            "VariantName": self.name,
            "ModelName": self.model,
            "InitialVariantWeight": self.weight,
            "InstanceType": self.instance_type,
            "InitialInstanceCount": self.instances,
        }


@dataclass(frozen=True)
class Endpoint:
    """Variants that share the traffic, and a shadow variant that gets a copy of requests and whose responses are discarded.

    The shadow's weight divided by that of the variant is the share of requests that are copied.
    """

    name: str
    variants: tuple[Variant, ...]
    shadow: Variant | None = None

    def __post_init__(self) -> None:
        """Validate as SageMaker does."""
        checked_name(self.configuration)
        names = [each.name for each in self._all_variants]
        if len(names) != len(set(names)):
            raise DeployError(f"Variants of {self.name} share a name: {', '.join(names)}.")
        if not sum(each.weight for each in self.variants):
            raise DeployError(f"No variant of {self.name} would get traffic: give one a weight above 0.")
        if self.shadow and len(self.variants) != 1:
            raise DeployError(
                f"SageMaker shadows one variant, and {self.name} has {len(self.variants)}: end the ramp first."
            )

    @property
    def configuration(self) -> str:
        """The name of its configuration, which contains a hash of the contents."""
        return name_of(self.name, _content_hash(self._config_contents)[:12])

    @property
    def request(self) -> Json:
        """The configuration in the form of SageMaker's API."""
        return {"EndpointConfigName": self.configuration, **self._config_contents}

    @property
    def _config_contents(self) -> Json:
        contents: Json = {"ProductionVariants": [each.request for each in self.variants]}
        return contents | ({"ShadowProductionVariants": [self.shadow.request]} if self.shadow else {})

    @property
    def _all_variants(self) -> tuple[Variant, ...]:
        return (*self.variants, self.shadow) if self.shadow else self.variants


@dataclass(frozen=True)
class EndpointStatus:
    """An endpoint as SageMaker describes it; `weights` (desired) and `instances` (running) are by variant."""

    status: str
    configuration: str
    weights: Mapping[str, float]
    instances: Mapping[str, int]


@dataclass(frozen=True)
class SageMaker:
    """SageMaker in the account and region of the credentials; errors of AWS are raised as `HubError`."""

    def create_model(self, name: str, version: str, data_url: str, container: Container) -> str:
        """Create a SageMaker model of a registry version, unless it exists; returns its name.

        Another image, role, environment or archive gives another model.
        """
        model = model_name(name, version, data_url, container)
        request = _model_request(model, data_url, container)
        tags = [{"Key": "recsys:model", "Value": name}, {"Key": "recsys:version", "Value": version}]
        with translate_aws_errors(f"create the model {model} of SageMaker"):
            if _describe_or_none(self.client.describe_model, ModelName=model) is None:
                self.client.create_model(**request, Tags=tags)
        return model

    def deploy(self, endpoint: Endpoint) -> Literal["created", "updated", "unchanged"]:
        """Create or update an endpoint, without waiting for it; an unchanged one keeps its current weights.

        An update starts with the weights of the description; SageMaker replaces instances one after another.
        """
        names = {"EndpointName": endpoint.name, "EndpointConfigName": endpoint.configuration}
        with translate_aws_errors(f"deploy the endpoint {endpoint.name} of SageMaker"):
            if (
                _describe_or_none(self.client.describe_endpoint_config, EndpointConfigName=endpoint.configuration)
                is None
            ):
                self.client.create_endpoint_config(**endpoint.request)
            there = _describe_or_none(self.client.describe_endpoint, EndpointName=endpoint.name)
            if there is None:
                self.client.create_endpoint(**names)
                return "created"
            if there["EndpointStatus"] == _FAILED:
                why = there.get("FailureReason", "no reason is given")
                raise DeployError(
                    f"The endpoint {endpoint.name} has failed ({why}), and SageMaker only deletes such an endpoint. Run "
                    f"`aws sagemaker delete-endpoint --endpoint-name {endpoint.name}`, then deploy again."
                )
            coming = there.get("PendingDeploymentSummary", {}).get("EndpointConfigName", there["EndpointConfigName"])
            if coming == endpoint.configuration:
                return "unchanged"
            self.client.update_endpoint(**names)
            return "updated"

    def wait(self, endpoint: str) -> None:
        """Wait until an endpoint is in service. Raises `HubError` if it fails or takes more than 15 minutes."""
        with translate_aws_errors(f"wait for the endpoint {endpoint} of SageMaker"):
            waiter = self.client.get_waiter("endpoint_in_service")
            waiter.wait(EndpointName=endpoint, WaiterConfig=_WAITER)

    def weights(self, endpoint: str) -> Mapping[str, float]:
        """The desired weight of each variant of an endpoint."""
        return self.status(endpoint).weights

    def status(self, endpoint: str) -> EndpointStatus:
        """Status, configuration and weights of an endpoint."""
        with translate_aws_errors(f"describe the endpoint {endpoint} of SageMaker"):
            described = self.client.describe_endpoint(EndpointName=endpoint)
        variants = described.get("ProductionVariants", [])  # absent before the first one runs
        return EndpointStatus(
            status=described["EndpointStatus"],
            configuration=described["EndpointConfigName"],
            weights={each["VariantName"]: float(each.get("DesiredWeight") or 0) for each in variants},
            instances={each["VariantName"]: int(each.get("CurrentInstanceCount") or 0) for each in variants},
        )

    def shift(self, endpoint: str, variant: str, share: float) -> bool:
        """Give a variant a share (0 to 1) of the traffic and the others the rest; returns whether anything changed.

        Waits for a change in progress to end, but not for its own, since SageMaker accepts one change at a time.
        """
        if self.status(endpoint).status != IN_SERVICE:
            self.wait(endpoint)  # until then the variants and weights are those of before the change
        before = self.weights(endpoint)
        wanted = weights_for(before, variant, share)
        if all(abs(shares(before)[name] - weight) < _WEIGHT_TOLERANCE for name, weight in wanted.items()):
            return False
        desired = [{"VariantName": name, "DesiredWeight": weight} for name, weight in wanted.items()]
        with translate_aws_errors(f"give {variant} {share:.0%} of the traffic of {endpoint}"):
            self.client.update_endpoint_weights_and_capacities(
                EndpointName=endpoint, DesiredWeightsAndCapacities=desired
            )
        return True

    def roll_back(self, endpoint: str, variant: str) -> bool:
        """Take all traffic from a variant; its instances keep running. Returns whether it had any."""
        return self.shift(endpoint, variant, 0.0)

    @cached_property
    def client(self) -> Any:
        """boto3's client."""
        return client("sagemaker")


def weights_for(weights: Mapping[str, float], variant: str, share: float) -> dict[str, float]:
    """Weights with sum 1 that give a variant a share (0 to 1) of the traffic and the others the rest.

    The others keep their proportions, or get equal parts if they had no traffic.

    >>> weights_for({"champion": 1.0, "challenger": 0.0}, "challenger", 0.25)
    {'champion': 0.75, 'challenger': 0.25}
    """
    others = {name: weight for name, weight in weights.items() if name != variant}
    if variant not in weights or not others:
        raise DeployError(f"{variant} is not one of several variants of the endpoint: there are {', '.join(weights)}.")
    if not 0 <= share <= 1:
        raise DeployError(f"A share of traffic is between 0 and 1, not {share}.")
    parts = shares(others)
    return {name: round(share if name == variant else (1 - share) * parts[name], 6) for name in weights}


def shares(weights: Mapping[str, float]) -> dict[str, float]:
    """The share of traffic (0 to 1) of each variant; equal shares if all weights are 0."""
    total = sum(weights.values())
    return {name: weight / total if total else 1 / len(weights) for name, weight in weights.items()}


def next_share(share: float) -> float:
    """The next step of the ramp: the first of `STEPS` above a share, 1.0 at the end."""
    return next((step for step in STEPS if step > share + _WEIGHT_TOLERANCE), 1.0)


def model_name(name: str, version: str, data_url: str, container: Container) -> str:
    """The SageMaker name of a registry version, with eight hex digits of a hash of container and archive."""
    return name_of(name, version, _content_hash({"data": data_url, **asdict(container)})[:8])


def name_of(*parts: str) -> str:
    """A SageMaker name from parts, other characters replaced by hyphens. Raises `DeployError` if it is too long or empty."""
    return checked_name("-".join(re.sub(r"[^a-zA-Z0-9]", "-", part) for part in parts))


def checked_name(name: str) -> str:
    """The name, if SageMaker accepts it. Raises `DeployError` otherwise."""
    if len(name) > LONGEST or not _VALID_NAME.fullmatch(name):
        raise DeployError(
            f"{name!r} is not a valid name in SageMaker: it accepts letters, digits and hyphens between them, at most {LONGEST}."
        )
    return name


def _model_request(model: str, data_url: str, container: Container) -> Json:
    primary = {"Image": container.image, "ModelDataUrl": data_url, "Environment": dict(container.environment)}
    return {"ModelName": model, "PrimaryContainer": primary, "ExecutionRoleArn": container.role_arn}


def _describe_or_none(describe: Callable[..., Json], **name: str) -> Json | None:
    """The result of a describe call; None if SageMaker could not find it, for which it has no error code of its own."""
    try:
        return describe(**name)
    except ClientError as error:
        message = str(error.response.get("Error", {}).get("Message", ""))
        if error_code(error) == "ValidationException" and message.lower().startswith("could not find"):
            return None
        raise


def _content_hash(contents: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(contents, sort_keys=True).encode()).hexdigest()
