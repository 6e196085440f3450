"""`recsys sagemaker`: model versions behind a SageMaker endpoint, and their share of the traffic."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recsys_platform.cli.console import OUT
from recsys_platform.cli.worlds import open_world
from recsys_platform.common.errors import InputError
from recsys_platform.config.factories import registry_of

if TYPE_CHECKING:  # imports boto3
    from recsys_platform.serving.sagemaker.endpoint import SageMaker

sagemaker = typer.Typer(
    help="Deploy model versions to a SageMaker endpoint and shift its traffic.", no_args_is_help=True
)
_ENDPOINT = typer.Option(help="Name of the endpoint.")
_VARIANT = typer.Option(help="Variant of the endpoint.")


@sagemaker.command()
def deploy(
    version: Annotated[str, typer.Argument(help="Version or alias that becomes the champion.")] = "production",
    *,
    image: Annotated[str, typer.Option(help="Container image that answers /ping and /invocations.")],
    role_arn: Annotated[str, typer.Option(help="ARN of the IAM role of the endpoint.")],
    models: Annotated[str, typer.Option(metavar="s3://BUCKET/PREFIX", help="Where to put model archives.")],
    challenger: Annotated[
        str | None, typer.Option(metavar="VERSION", help="Second variant, which starts without traffic.")
    ] = None,
    shadow: Annotated[
        str | None, typer.Option(metavar="VERSION", help="Variant that gets a copy of all requests.")
    ] = None,
    instance_type: Annotated[str, typer.Option(help="Instance type of every variant.")] = "ml.m5.large",
    instances: Annotated[int, typer.Option(min=1, help="Instances of every variant.")] = 1,
    env: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="Environment of the container; no secrets.")
    ] = None,
    endpoint: Annotated[str, _ENDPOINT] = "recsys",
    wait: Annotated[bool, typer.Option(help="Wait until the endpoint is in service.")] = False,
) -> None:
    """Put model versions behind an endpoint: upload archives, create models, create or update the endpoint."""
    from recsys_platform.serving.sagemaker.deployment import Hosting, deploy_versions
    from recsys_platform.serving.sagemaker.endpoint import Container

    settings = open_world()
    client, registry = _sagemaker_client(), registry_of(settings)
    container = Container(image, role_arn, _parse_environment(env or []))
    hosting = Hosting(models, container, instance_type, instances, settings.hub_kms_key)
    others = {"challenger": challenger, "shadow": shadow}
    home = settings.serving_root
    done = deploy_versions(client, registry, hosting, endpoint, home=home, champion=version, **others)
    OUT.print(f"The endpoint {endpoint} is {done}.", soft_wrap=True)
    if wait:
        client.wait(endpoint)
        OUT.print(f"The endpoint {endpoint} is in service.", soft_wrap=True)


@sagemaker.command()
def pack(
    version: Annotated[str, typer.Argument(help="Version or alias.")] = "production",
    to: Annotated[Path, typer.Option(metavar="FILE", help="Archive to write.")] = Path("model.tar.gz"),
    upload: Annotated[
        str | None,
        typer.Option(
            metavar="s3://BUCKET/PREFIX", help="Upload the archive there instead, and print its address last."
        ),
    ] = None,
) -> None:
    """Write the archive of a version, which a container of SageMaker unpacks into /opt/ml/model."""
    from recsys_platform.serving.model_host.folder import write_host_folder
    from recsys_platform.serving.sagemaker import archive
    from recsys_platform.serving.sagemaker.deployment import bucket_of, version_of

    settings = open_world()
    registry = registry_of(settings)
    folder = write_host_folder(settings.serving_root, registry, version_of(registry, version))
    if upload:
        address = archive.upload(folder, bucket_of(upload, kms_key=settings.hub_kms_key))
        OUT.print(address, soft_wrap=True, markup=False)
        return
    to.write_bytes(archive.pack(folder))
    OUT.print(f"{to} holds {folder.name}.", soft_wrap=True)


@sagemaker.command()
def status(endpoint: Annotated[str, _ENDPOINT] = "recsys") -> None:
    """Show the status of an endpoint, its variants, their instances and shares of traffic."""
    from recsys_platform.cli.output.sagemaker import print_endpoint

    print_endpoint(OUT, endpoint, _sagemaker_client().status(endpoint))


@sagemaker.command()
def traffic(
    share: Annotated[
        float | None, typer.Argument(min=0, max=1, help="Share from 0 to 1; default: next step of .05, .25, .5, 1.")
    ] = None,
    variant: Annotated[str, _VARIANT] = "challenger",
    endpoint: Annotated[str, _ENDPOINT] = "recsys",
) -> None:
    """Give a variant a share of the traffic, and the others the rest."""
    from recsys_platform.serving.sagemaker.endpoint import next_share, shares

    client = _sagemaker_client()
    wanted = next_share(shares(client.weights(endpoint)).get(variant, 0.0)) if share is None else share
    changed = client.shift(endpoint, variant, wanted)
    OUT.print(
        f"{variant} {'gets' if changed else 'already has'} {wanted:.0%} of the traffic of {endpoint}.", soft_wrap=True
    )


@sagemaker.command()
def rollback(
    variant: Annotated[str, _VARIANT] = "challenger",
    endpoint: Annotated[str, _ENDPOINT] = "recsys",
) -> None:
    """Take all traffic from a variant; its instances keep running."""
    changed = _sagemaker_client().roll_back(endpoint, variant)
    OUT.print(f"{variant} {'gets no more' if changed else 'has no'} traffic of {endpoint}.", soft_wrap=True)


def _sagemaker_client() -> "SageMaker":
    from recsys_platform.serving.sagemaker.endpoint import SageMaker

    return SageMaker()


def _parse_environment(pairs: list[str]) -> dict[str, str]:
    wrong = [pair for pair in pairs if not pair.partition("=")[0] or "=" not in pair]
    if wrong:
        raise InputError(f"--env {wrong[0]} is not of the form NAME=VALUE.")
    return {name: value for name, _, value in (pair.partition("=") for pair in pairs)}
