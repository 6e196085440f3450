"""The page at `/`: choose a reader, see the shelves, click, and watch the list change."""

from starlette.routing import Route

from recsys_platform.serving.gateway.state import Gateway


def page_routes(gateway: Gateway) -> list[Route]:
    """Return the routes of the page."""
    return []
