"""What `recsys sagemaker status` prints."""

from rich.console import Console
from rich.table import Table

from recsys_platform.serving.sagemaker.endpoint import EndpointStatus, shares


def print_endpoint(out: Console, name: str, found: EndpointStatus) -> None:
    """Print status and configuration of an endpoint, then its variants with instances and share of traffic."""
    out.print(f"{name}: {found.status}, configuration {found.configuration}", soft_wrap=True)
    table = Table("variant", "instances", "weight", "share", box=None, header_style="dim")
    for variant, share in shares(found.weights).items():
        table.add_row(variant, str(found.instances[variant]), f"{found.weights[variant]:g}", f"{share:.0%}")
    out.print(table)
