"""Deploy versions of the model registry: the champion, and a challenger or a shadow beside it.

Belongs here: which versions an endpoint consists of. Does not: SageMaker's objects (endpoint.py), the archive (archive.py).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from recsys_platform.hub.factory import is_s3_url, open_hub
from recsys_platform.hub.s3 import S3Hub
from recsys_platform.recommender.registry.versions import ALIASES, Registry
from recsys_platform.serving.errors import DeployError
from recsys_platform.serving.model_host.folder import write_host_folder
from recsys_platform.serving.sagemaker.archive import upload
from recsys_platform.serving.sagemaker.endpoint import Container, Endpoint, SageMaker, Variant

CHAMPION, CHALLENGER, SHADOW = "champion", "challenger", "shadow"


@dataclass(frozen=True)
class Hosting:
    """Where models run: archives below `models` (s3://bucket/prefix), the container, and instances for each variant.

    `kms_key`: encrypts the archives; S3's own key by default.
    """

    models: str
    container: Container
    instance_type: str = "ml.m5.large"
    instances: int = 1
    kms_key: str | None = None


def deploy_versions(
    sagemaker: SageMaker,
    registry: Registry,
    hosting: Hosting,
    endpoint: str,
    *,
    home: Path,
    champion: str = "production",
    challenger: str | None = None,
    shadow: str | None = None,
) -> Literal["created", "updated", "unchanged"]:
    """Deploy registry versions, given as versions or aliases, behind an endpoint; does not wait until it is in service.

    `home`: the folder `serving` of the world, whose item catalog and list rules go into the archives. The challenger starts without
    traffic. A shadow gets a copy of each request. Raises `DeployError` for an alias that is not set, `RegistryError` for a version
    that does not exist.
    """

    def variant_of(name: str, version: str, weight: float) -> Variant:
        model = create_model_of(sagemaker, registry, hosting, version, home)
        return Variant(name, model, weight, instance_type=hosting.instance_type, instances=hosting.instances)

    variants = [variant_of(CHAMPION, champion, 1)]
    variants += [variant_of(CHALLENGER, challenger, 0)] if challenger else []
    copied = variant_of(SHADOW, shadow, 1) if shadow else None
    return sagemaker.deploy(Endpoint(endpoint, tuple(variants), copied))


def create_model_of(sagemaker: SageMaker, registry: Registry, hosting: Hosting, version: str, home: Path) -> str:
    """Upload the archive of a version (or alias) and create its SageMaker model, unless they exist; returns the model's name."""
    found = version_of(registry, version)
    bucket = bucket_of(hosting.models, kms_key=hosting.kms_key)
    data_url = upload(write_host_folder(home, registry, found), bucket)
    return sagemaker.create_model(registry.info(found).variant, found, data_url, hosting.container)


def version_of(registry: Registry, version: str) -> str:
    """The version that an alias stands for; any other name is a version itself."""
    if version not in ALIASES:
        return version
    found = registry.version_of(version)
    if found is None:
        raise DeployError(f"No version is {version} yet: `recsys promote VERSION --as {version}` makes one.")
    return found


def bucket_of(models: str, *, kms_key: str | None = None) -> S3Hub:
    """Where archives go: `s3://bucket/prefix`. `kms_key`: encrypts them; S3's own by default."""
    hub = open_hub(models, kms_key=kms_key) if is_s3_url(models) else None
    if not isinstance(hub, S3Hub):
        raise DeployError(f"{models} is not a folder in S3: give s3://bucket/prefix.")
    return hub
