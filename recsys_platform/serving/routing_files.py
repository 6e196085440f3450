"""The files by which a world routes: experiments and shelves.

Belongs here: where they are read from. Does not: what is in them (experiments/assignment.py, shelves.py).
"""

from recsys_platform.config.factories import experiments_of
from recsys_platform.config.settings import Settings
from recsys_platform.config.world_files import SHELVES, world_file
from recsys_platform.serving.routing import Routing
from recsys_platform.serving.shelves import ShelfRule, load_shelves


def shelves_of(settings: Settings) -> tuple[ShelfRule, ...]:
    """The shelves of a world's home page; `ShelvesError` says what is wrong with which."""
    return load_shelves(world_file(settings, SHELVES))


def routing_of(settings: Settings) -> Routing:
    """What routes the visitors of a world; it reads the files again with each refresh."""
    return Routing(lambda: experiments_of(settings), lambda: shelves_of(settings))
