"""`recsys site`: the pages that people read, published to one place and served from it."""

from typing import Annotated

import typer

from recsys_platform.cli.console import OUT
from recsys_platform.cli.worlds import open_world
from recsys_platform.config.factories import hub_of, site_of
from recsys_platform.config.settings import load_settings

site = typer.Typer(help="KPI page, evaluation and dbt docs in one place: publish and serve them.", no_args_is_help=True)


@site.command()
def publish(
    docs: Annotated[bool, typer.Option(help="Build the dbt docs as well, which takes some seconds.")] = True,
) -> None:
    """Copy the pages of the hub and the dbt docs to the site: RECSYS_SITE, by default the folder `site` of the world."""
    from recsys_platform.config.dbt_profile import environment_for_dbt
    from recsys_platform.reports.site import INDEX, publish_dbt_docs, publish_reports
    from recsys_platform.transform.dbt_docs import generate_docs

    settings = open_world()
    place = site_of(settings)
    keys = publish_reports(hub_of(settings), place)
    if docs:
        with environment_for_dbt(settings):
            keys += publish_dbt_docs(generate_docs(settings.home), place)
    OUT.print(f"{len(keys)} files published; the site begins at {place.where(INDEX)}", soft_wrap=True, markup=False)


@site.command()
def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 8085,
) -> None:
    """Serve the site; it has no sign-in, so put a proxy with one before it."""
    import uvicorn

    from recsys_platform.reports.site import site_app

    OUT.print(f"The site is at http://{host}:{port}", soft_wrap=True)
    uvicorn.run(site_app(site_of(load_settings())), host=host, port=port, log_level="warning")
