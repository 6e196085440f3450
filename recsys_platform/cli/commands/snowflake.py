"""`recsys snowflake`: set up a Snowflake account."""

from pathlib import Path
from typing import Annotated

import typer

from recsys_platform.cli.console import OUT
from recsys_platform.config.settings import load_settings

snowflake = typer.Typer(help="Set up a Snowflake account.", no_args_is_help=True)


@snowflake.command(name="setup-scripts")
def setup_scripts(
    hub_role_arn: Annotated[str, typer.Option(help="ARN of the AWS role with which Snowflake reads the bucket.")],
    public_key: Annotated[Path, typer.Option(help="PEM file with the public key of the platform's user.")],
    out: Annotated[Path, typer.Option(help="Folder to write the scripts to.")],
    monthly_credits: Annotated[
        int, typer.Option(min=1, help="Credits a month after which a warehouse stops; the one for serving only warns.")
    ] = 20,
    allowed_network: Annotated[
        list[str] | None,
        typer.Option(help="IPv4 network from which service users sign in, as 203.0.113.10/32; repeatable."),
    ] = None,
) -> None:
    """Write the SQL scripts with which an administrator sets up the account, filled in from your settings."""
    from recsys_platform.config.snowflake_setup import public_key_body, render_scripts, write_scripts

    given = {
        "hub_role_arn": hub_role_arn,
        "monthly_credits": str(monthly_credits),
        "public_key": public_key_body(public_key),
    }
    names = write_scripts(out, render_scripts(load_settings(), given, allowed_network or ()))
    OUT.print(f"{len(names)} scripts in {out}: read them, then run them in order as an administrator.", soft_wrap=True)
