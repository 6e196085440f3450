"""The server of a model host: on a folder, as in a container of SageMaker, or following a world.

Belongs here: which model is served, looking for a new one, uvicorn. Does not: HTTP (app.py).
"""

import datetime as dt
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.types import Lifespan

from recsys_platform.config.factories import registry_of
from recsys_platform.config.settings import Settings
from recsys_platform.recommender.registry.versions import PRODUCTION
from recsys_platform.serving.connections import OPTIONS
from recsys_platform.serving.following import POLL_SECONDS, Follower
from recsys_platform.serving.model_host.app import create_host
from recsys_platform.serving.model_host.folder import FolderModel
from recsys_platform.serving.routing_files import routing_of

PORT = 8080
SAGEMAKER_DIR = Path("/opt/ml/model")


def container_folder() -> Path | None:
    """The folder where SageMaker puts a model, if this is one of its containers."""
    return SAGEMAKER_DIR if SAGEMAKER_DIR.is_dir() else None


def host_of_folder(folder: Path) -> Starlette:
    """Return a host that serves a folder and looks each second whether it was replaced. Raises ArtifactError if it cannot be used."""
    served = FolderModel(folder)
    served.load()
    return create_host(lambda alias: served.model if alias == PRODUCTION else None, _polling(served.refresh))


def host_of_world(settings: Settings) -> Starlette:
    """Return a host that serves the models of a world's routes, and follows promotions and rollbacks."""
    routing = routing_of(settings)
    follower = Follower(settings.serving_root, registry_of(settings), routing)
    follower.refresh()

    def trained() -> dict[str, dt.datetime]:
        models = follower.served.models.items()
        return {alias: model.trained_at for alias, model in models if model.trained_at}

    return create_host(lambda alias: follower.served.models.get(alias), _polling(follower.refresh), trained)


def _polling(refresh: Callable[[], None]) -> Lifespan[Starlette]:
    """The lifespan of a host: a thread that loads what is new, while the event loop answers."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        stop = threading.Event()
        thread = threading.Thread(target=_poll, args=(refresh, stop), name="follow-model", daemon=True)
        thread.start()
        yield
        stop.set()
        thread.join(timeout=10)

    return lifespan


def _poll(refresh: Callable[[], None], stop: threading.Event) -> None:
    while not stop.wait(POLL_SECONDS):
        refresh()


def serve(app: Starlette, *, host: str, port: int) -> None:
    """Serve until a signal ends it; running requests are answered first."""
    uvicorn.run(app, host=host, port=port, **OPTIONS)
