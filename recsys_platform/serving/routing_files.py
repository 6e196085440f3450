"""The files by which a world routes: experiments, shelves, shadow traffic, the canary; in its folders, or in Parameter Store.

Belongs here: where they are read from, how often, and what is valid while they cannot be read. Does not: what is in them
(experiments/definitions.py, shelves.py, shadow_rule.py, rollout/record.py).
"""

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from recsys_platform.common.atomic_write import replace_file
from recsys_platform.common.errors import RecsysError
from recsys_platform.common.strict_yaml import parse_yaml
from recsys_platform.config.settings import Settings
from recsys_platform.config.world_files import EXPERIMENTS, SHADOW, SHELVES, world_file
from recsys_platform.experiments.assignment import Experiments
from recsys_platform.experiments.definitions import parse_experiments
from recsys_platform.serving.rollout.record import CanaryRecord, parse_canary
from recsys_platform.serving.routing import First, Routing
from recsys_platform.serving.shadow_rule import parse_shadow
from recsys_platform.serving.shelves import parse_shelves

if TYPE_CHECKING:  # imports boto3
    from recsys_platform.serving.routing_parameters import ParameterStore

STORE_SECONDS = 20.0
"""How long what a store said is taken for news, or that it does not answer."""
CANARY_SECONDS = 5.0
"""The same for the canary: a rollback must not wait."""
CANARY_STATE = "canary.json"
Value = TypeVar("Value")


class RoutingFileError(RecsysError):
    """A file of routing cannot be read."""


class Store(Protocol):
    """A place that keeps texts by name."""

    def text_of(self, name: str) -> str | None:
        """The text, None if there is none of that name. Raises RecsysError if the place does not answer."""


class WritableStore(Store, Protocol):
    """A place that keeps texts by name and takes new ones."""

    def put_text(self, name: str, text: str) -> object:
        """Keep a text under a name. Raises RecsysError if the place does not take it."""


class Parse(Protocol[Value]):  # type: ignore[misc]  # it is only given back
    """Validates the content of a file."""

    def __call__(self, content: Any, *, where: str) -> Value:
        """The value. Raises RecsysError."""


def routing_of(settings: Settings, store: Store | None = None) -> Routing:
    """What routes the visitors of a world; it reads the files again with each refresh. `store`: by default that of the settings."""
    store = store or store_of(settings)
    experiments, shelves = _file(settings, EXPERIMENTS, _parse_experiments), _file(settings, SHELVES, parse_shelves)
    shadow, canary = _file(settings, SHADOW, parse_shadow), CanaryFile(settings)
    if store is None:
        return Routing(experiments.read, shelves.read, shadow.read, canary.read)
    kept = settings.serving_root / "routing"
    of_experiments, of_shelves = Stored(store, kept, experiments), Stored(store, kept, shelves)
    of_shadow, of_canary = Stored(store, kept, shadow), Stored(store, kept, canary, CANARY_SECONDS)
    first = First(of_experiments.kept() or Experiments(), of_shelves.kept() or (), of_shadow.kept(), of_canary.kept())
    return Routing(of_experiments, of_shelves, of_shadow, of_canary, first=first)


def experiments_of(settings: Settings, store: Store | None = None) -> Experiments:
    """The experiments of a world as they are now. `store`: by default that of the settings. Raises RecsysError."""
    file: RoutingFile[Experiments] = _file(settings, EXPERIMENTS, _parse_experiments)
    store = store or store_of(settings)
    text = store.text_of(file.name) if store else None
    return file.read() if text is None else file.parsed(text, f"{file.name} in the store")


class ExperimentsFile:
    """The text of the experiments of a world, to be edited: a parameter if the settings name a store, else the file of the world."""

    def __init__(self, settings: Settings, store: WritableStore | None = None) -> None:
        """`store`: by default that of the settings."""
        self._store = store or store_of(settings)
        self._path, self._own = world_file(settings, EXPERIMENTS), settings.config_folder / EXPERIMENTS
        self.where = f"{EXPERIMENTS} in the store" if self._store else str(self._path)

    def read(self) -> str:
        """The text; that of the file where the store has none. Raises RecsysError."""
        kept = self._store.text_of(EXPERIMENTS) if self._store else None
        return _text_in(self._path) if kept is None else kept

    def write(self, text: str) -> None:
        """Replace the text at once: gateways never read a half of it. Raises RecsysError."""
        if self._store:
            self._store.put_text(EXPERIMENTS, text)
            return
        try:
            replace_file(self._own, text)
        except OSError as error:
            raise RoutingFileError(
                f"{self._own} cannot be written: {error.strerror}. Correct its permissions."
            ) from error


def _text_in(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RoutingFileError(f"{path} cannot be read: {error}.") from error


def _parse_experiments(content: Any, *, where: str) -> Any:
    return parse_experiments(content or {}, where=where)


def store_of(settings: Settings) -> "ParameterStore | None":
    """The store of the settings; None where files are read."""
    if settings.routing_parameters is None:
        return None
    from recsys_platform.serving.routing_parameters import ParameterStore  # imports boto3

    return ParameterStore(settings.routing_parameters)


class RoutingFile(Generic[Value]):
    """One file of a world."""

    def __init__(self, settings: Settings, name: str, parse: Parse[Value]) -> None:
        """`name`: such as `shelves.yaml`."""
        self._settings, self.name, self._parse = settings, name, parse

    def read(self) -> Value:
        """The value in the world's configuration folder. Raises RecsysError."""
        path = world_file(self._settings, self.name)
        return self.parsed(_text_in(path), str(path))

    def parsed(self, text: str, where: str) -> Value:
        """The value of a text. Raises RecsysError."""
        try:
            content = parse_yaml(text)
        except ValueError as error:
            raise RoutingFileError(f"{where} cannot be read: {error}.") from error
        return self._parse(content, where=where)


class CanaryFile(RoutingFile[CanaryRecord | None]):
    """The state of the canary, which the platform writes: it stands beside what is served, and need not be there."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings, CANARY_STATE, parse_canary)
        self.path = settings.serving_root / CANARY_STATE

    def read(self) -> CanaryRecord | None:
        """The state; None if there is no canary. Raises RecsysError."""
        try:
            text = self.path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise RoutingFileError(f"{self.path} cannot be read: {error}.") from error
        return self.parsed(text, str(self.path))


def _file(settings: Settings, name: str, parse: Parse[Value]) -> RoutingFile[Value]:
    return RoutingFile(settings, name, parse)


class Stored(Generic[Value]):
    """A file in a store, asked every few seconds; the last valid text is kept on disk, for a start while the store is away."""

    def __init__(self, store: Store, folder: Path, file: RoutingFile[Value], seconds: float = STORE_SECONDS) -> None:
        """`folder`: of the kept texts. `file`: what is valid where the store has none of that name."""
        self._store, self._path, self._file, self._seconds = store, folder / file.name, file, seconds
        self._answer: Callable[[], Value] | None = None
        self._until = 0.0

    def __call__(self) -> Value:
        """The value of now. Raises RecsysError while the store does not answer, or what it has is not valid."""
        if self._answer is None or time.monotonic() >= self._until:
            self._answer = self._asked()
            self._until = time.monotonic() + self._seconds
        return self._answer()

    def kept(self) -> Value | None:
        """The value that was valid last; None if none was, or if it is not valid any more."""
        with suppress(OSError, UnicodeDecodeError, RecsysError):
            return self._file.parsed(self._path.read_text(encoding="utf-8"), str(self._path))
        return None

    def _asked(self) -> Callable[[], Value]:
        try:
            text = self._store.text_of(self._file.name)
            value = self._file.read() if text is None else self._file.parsed(text, f"{self._file.name} in the store")
        except RecsysError as error:
            return _raising(error)
        self._keep(text)
        return lambda: value

    def _keep(self, text: str | None) -> None:
        with suppress(OSError):  # without it only a start while the store is away has less
            if text is None:
                self._path.unlink(missing_ok=True)
            elif not self._path.exists() or self._path.read_text(encoding="utf-8") != text:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                replace_file(self._path, text)


def _raising(error: RecsysError) -> Callable[[], Any]:
    def answer() -> Any:
        raise error

    return answer
