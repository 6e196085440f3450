"""The serving snapshot: all that a gateway reads, in one folder, so that no request waits for the warehouse.

Belongs here: writing a snapshot, swapping it in, and reading it. Does not: models (artifact.py), what happened since it was written
(recent_events.py).

A snapshot is `data.mdb` (LMDB: profiles, published, similar, popular, books; ids of readers that were joined to others, and of the
events that the profiles are made of; units of experiments), `items.parquet` (the books with what rules and features use),
`list_rules.json`, `signals.json` (what an event says about a book), and `manifest.json` with the SHA-256 of each. `CURRENT` names the
one in use; two are kept.
"""

import datetime as dt
import hashlib
import json
import shutil
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from itertools import chain, islice
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import lmdb
import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from recsys_platform.common.atomic_write import replace_file
from recsys_platform.recommender.arrays import IntArray
from recsys_platform.recommender.data.dataset import Dataset, Interactions
from recsys_platform.recommender.data.interactions import build_dataset
from recsys_platform.recommender.lists.list_builder import excluded_books
from recsys_platform.recommender.lists.list_rules import ListRules, parse_list_rules
from recsys_platform.recommender.lists.rules import apply_rules
from recsys_platform.recommender.models.histories import histories_of
from recsys_platform.recommender.registry.files import MANIFEST, file_sha256
from recsys_platform.serving.errors import SnapshotError
from recsys_platform.serving.folders import draft_folder, put_in_place
from recsys_platform.serving.signals import Signals, package_signals

CURRENT, DATA = "CURRENT", "data.mdb"
ITEMS, RULES, SIGNALS = "items.parquet", "list_rules.json", "signals.json"
FORMAT, KEPT = 1, 2
LISTS = ("published", "similar", "popular")
DATABASES = ("profiles", *LISTS, "books")
ALIASES, EVENTS, UNITS = "aliases", "events", "units"
_ALL_DATABASES = (*DATABASES, ALIASES, EVENTS, UNITS)
EVERYONE = "all"
_PUBLISHED, _AVAILABLE, _MOST_NEW = "published_at", "is_available", 1000
_LONGEST_KEY = 500
"""LMDB's keys have at most 511 bytes: a longer id is stored under its hash."""
_KEPT_BOOK_BYTES, _ENTRY_BYTES = 16_000_000, 250
"""What a process keeps of the books that it lists, at most, and what an entry takes beside its texts."""
_BOOK_FIELDS = ("book_id", "title", "author", "language", "categories", "reading_minutes", "is_premium")


class Profile(msgspec.Struct, array_like=True, frozen=True):
    """A reader as the marts know them; books are ids, `history` oldest first.

    `out`: books that the list rules exclude for this reader. `finished`: those that may explain a recommendation. `free`: on the free
    tier, which the marts say of nobody whose tier is unknown.
    """

    language: str = ""
    free: bool = False
    interests: tuple[str, ...] = ()
    history: tuple[str, ...] = ()
    finished: tuple[str, ...] = ()
    out: tuple[str, ...] = ()


class Publication(msgspec.Struct, frozen=True):
    """A version of the published tables, and the label of the model behind each kind of list (`published`, `similar`, `popular`)."""

    version: str
    model_versions: dict[str, str]


class ListedBook(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A book of a published list, best first."""

    book_id: str
    score: float | None = None
    reason: str | None = None
    because: str | None = None


class LoadedEvents(msgspec.Struct, frozen=True):
    """What the marts were made of. `loaded_to`, `since`: seconds since 1970; `ids`: of the events loaded between them.

    `aliases`: id of a reader that was joined to another reader, and that reader's id. `units`: by which id the experiments of a reader
    are dealt, for those whom an answer of one was shown.
    """

    loaded_to: float = 0.0
    since: float = 0.0
    ids: Sequence[str] = ()
    aliases: Mapping[str, str] = {}
    units: Mapping[str, str] = {}


_LIST = list[ListedBook]
_OPENING = threading.Lock()


def profiles_of(
    data: Dataset, rules: ListRules, interests: Mapping[str, Sequence[str]]
) -> Iterator[tuple[str, Profile]]:
    """Yield the id and the profile of each reader. `interests`: by user id."""
    histories, books = histories_of(data), data.book_ids
    out = apply_rules(rules.rules, data, blocked=excluded_books(rules, data)).exclude
    assert out is not None  # noqa: S101  # `apply_rules` always gives pairs
    rows = data.interactions
    ends = np.searchsorted(rows.user, np.arange(len(data.user_ids) + 1))
    for reader, user_id in enumerate(data.user_ids.tolist()):
        own = slice(ends[reader], ends[reader + 1])
        yield (
            user_id,
            Profile(
                language=data.user_language[reader],
                free=bool(data.is_free[reader]),
                interests=tuple(interests.get(user_id, ())),
                history=tuple(books[histories.books[histories.starts[reader] : histories.starts[reader + 1]]]),
                finished=tuple(books[_by_time(rows, own)]),
                out=tuple(books[out.indices[out.indptr[reader] : out.indptr[reader + 1]]]),
            ),
        )


def _by_time(rows: Interactions, own: slice) -> IntArray:
    """The finished books of one reader, the last one last."""
    finished = rows.finished[own]
    order = np.argsort(rows.last_at[own][finished], kind="stable")
    return rows.book[own][finished][order]


def write_snapshot(
    parent: Path,
    *,
    publication: Publication,
    marts: Mapping[str, pa.Table],
    data: Dataset,
    rules: ListRules,
    lists: Mapping[str, Iterable[tuple[str, Sequence[ListedBook]]]],
    signals: Signals,
    loaded: LoadedEvents | None = None,
) -> Path:
    """Write a snapshot below a folder and put it in use; return its folder.

    `publication`: of the published tables. `lists`: of `published`, `similar` and `popular`, by user, book and segment.
    `signals`: what an event says about a book. `loaded`: the events that the marts were made of; unknown by default.
    """
    loaded = loaded or LoadedEvents()
    with draft_folder(parent) as draft:
        pq.write_table(marts["dim_books"], draft / ITEMS)
        (draft / RULES).write_text(json.dumps(asdict(rules)), encoding="utf-8")
        (draft / SIGNALS).write_bytes(msgspec.json.encode(signals))
        interests = _interests_of(marts["dim_users"])
        aliases = _aliases_without_history(loaded.aliases, data)
        profiles = (each for each in profiles_of(data, rules, interests) if each[0] not in aliases)
        content = chain(_encoded(profiles, lists, marts["dim_books"]), _encoded_events(aliases, loaded))
        _write_databases(draft, content)
        version = _write_manifest(draft, publication, data, loaded)
        folder = parent / version
        if not _is_whole(folder):
            put_in_place(draft, folder)
    _put_in_use(parent, version)
    return folder


def _is_whole(folder: Path) -> bool:
    try:
        read_manifest(folder)
    except SnapshotError:
        return False
    return True


def _interests_of(users: pa.Table) -> dict[str, Sequence[str]]:
    if "interests" not in users.column_names:
        return {}
    pairs = zip(users["user_id"].to_pylist(), users["interests"].to_pylist(), strict=True)
    return {user: tuple(map(str, found)) for user, found in pairs if isinstance(found, list)}


def _encoded(
    profiles: Iterable[tuple[str, Profile]],
    lists: Mapping[str, Iterable[tuple[str, Sequence[ListedBook]]]],
    books: pa.Table,
) -> Iterator[tuple[str, Iterator[tuple[bytes, bytes]]]]:
    """The content of each database as keys and values."""
    pack = msgspec.msgpack.Encoder().encode
    yield "profiles", ((_key(user), pack(profile)) for user, profile in profiles)
    for name in LISTS:
        yield name, ((_key(of), pack(listed)) for of, listed in lists.get(name, ()))
    columns = [name for name in _BOOK_FIELDS if name in books.column_names]
    rows = books.select(columns).to_pylist()
    yield "books", ((_key(str(row["book_id"])), msgspec.json.encode(row)) for row in rows)


def _aliases_without_history(aliases: Mapping[str, str], data: Dataset) -> dict[str, str]:
    """The aliases that these marts know of already: what an id did is that of the reader whom it was joined to."""
    with_history = set(data.user_ids[np.unique(data.interactions.user)].tolist())
    return {own: joined for own, joined in aliases.items() if own not in with_history}


def _encoded_events(
    aliases: Mapping[str, str], loaded: LoadedEvents
) -> Iterator[tuple[str, Iterator[tuple[bytes, bytes]]]]:
    yield ALIASES, ((_key(own), joined.encode()) for own, joined in aliases.items())
    yield EVENTS, ((key, b"") for key in set(map(_event_key, loaded.ids)))
    yield UNITS, ((_key(reader), unit.encode()) for reader, unit in loaded.units.items())


def _write_databases(folder: Path, content: Iterable[tuple[str, Iterator[tuple[bytes, bytes]]]]) -> None:
    # The map is only address space: the file is as large as what is in it.
    with lmdb.open(str(folder), map_size=1 << 36, max_dbs=len(_ALL_DATABASES), lock=False, sync=False) as environment:
        for name, pairs in content:
            database = environment.open_db(name.encode())
            with environment.begin(write=True, db=database) as transaction:
                for key, value in sorted(pairs):
                    transaction.put(key, value, append=True)
        environment.sync(True)


def _write_manifest(folder: Path, publication: Publication, data: Dataset, loaded: LoadedEvents) -> str:
    files = {name: file_sha256(folder / name) for name in (DATA, ITEMS, RULES, SIGNALS)}
    digest = hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()
    version = f"{publication.version}-{digest[:12]}"
    manifest = {
        "format": FORMAT,
        "version": version,
        "publication": publication.version,
        "model_versions": dict(publication.model_versions),
        "catalogue_hash": data.catalogue_hash,
        "readers": len(data.user_ids),
        "books": len(data.book_ids),
        "events": {"loaded_to": loaded.loaded_to, "since": loaded.since, "ids": len(loaded.ids)},
        "files": files,
    }
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=2, sort_keys=True), encoding="utf-8")
    return version


def _put_in_use(parent: Path, version: str) -> None:
    """Name the version in `CURRENT`, in one step, and remove all but the two newest versions."""
    replace_file(parent / CURRENT, version)
    others = sorted(
        (each for each in parent.iterdir() if (each / MANIFEST).is_file() and each.name != version), key=_age
    )
    for folder in others[: max(0, len(others) - KEPT + 1)]:
        shutil.rmtree(folder, ignore_errors=True)


def _age(folder: Path) -> float:
    return (folder / MANIFEST).stat().st_mtime


def current_version(parent: Path) -> str | None:
    """The version in use; None if there is no snapshot yet."""
    try:
        return (parent / CURRENT).read_text(encoding="utf-8").strip() or None
    except FileNotFoundError:
        return None


def files_stamp(folder: Path) -> tuple[int, ...]:
    """Numbers that change when a file of a snapshot is written again; empty without a manifest."""
    try:
        found = [(folder / name).stat() for name in (MANIFEST, DATA, ITEMS, RULES, SIGNALS)]
    except (OSError, ValueError):
        return ()
    return tuple(number for each in found for number in (each.st_ino, each.st_mtime_ns, each.st_size))


def newest_usable(parent: Path) -> "Snapshot | None":
    """The newest snapshot of a folder that is whole; None if there is none."""
    found = [each.parent for each in parent.glob(f"*/{MANIFEST}") if not each.parent.name.startswith(".")]
    for folder in sorted(found, key=_age, reverse=True):
        with suppress(SnapshotError):
            return open_snapshot(folder)
    return None


def _key(identifier: str) -> bytes:
    key = identifier.encode()
    return key if 0 < len(key) <= _LONGEST_KEY else b"\0" + hashlib.sha256(key).digest()


def _event_key(event_id: str) -> bytes:
    return hashlib.blake2b(event_id.encode(), digest_size=16).digest()


_OPENED: "WeakValueDictionary[Path, Snapshot]" = WeakValueDictionary()


def open_snapshot(folder: Path) -> "Snapshot":
    """Open a snapshot, or return the one that is open: LMDB opens a file once a process. It is closed with its last user."""
    with _OPENING:
        found = _OPENED.get(folder)
        if found is None:
            found = _OPENED[folder] = Snapshot(folder)
        return found


class Snapshot:
    """A snapshot that is open for reading, shared by threads and processes; opened by `open_snapshot`."""

    def __init__(self, folder: Path) -> None:
        """Open and check a snapshot. Raises SnapshotError if a file is missing or was changed."""
        self.folder, self.manifest = folder, read_manifest(folder)
        self.version: str = self.manifest["version"]
        written = dt.datetime.fromtimestamp((folder / MANIFEST).stat().st_mtime, dt.UTC)
        self.written_at = written.replace(tzinfo=None)
        self._open()
        self.newest_books = _newest_books(folder)
        self.has_aliases = ALIASES in self._databases
        self.events_since = int(self.manifest.get("events", {}).get("since", 0))
        self._books: dict[str, bytes] = {}
        self._books_bytes = 0
        # Read now: the folder may be removed while this process goes on with it.
        self.items, self.rules, self.signals = items_in(folder), rules_in(folder), _signals_of(folder)

    def reopen(self) -> None:
        """Open the file again in a process that parted from another one: LMDB's environment belongs to the process that opened it."""
        self._environment.close()
        self._open()

    def _open(self) -> None:
        try:
            self._environment = lmdb.open(
                str(self.folder),
                readonly=True,
                lock=False,
                max_dbs=len(_ALL_DATABASES),
                readahead=False,
                max_spare_txns=32,
            )
            self._databases = {name: self._environment.open_db(name.encode(), create=False) for name in DATABASES}
            self._databases |= dict(self._open_if_there(ALIASES, EVENTS, UNITS))
        except lmdb.Error as error:
            raise SnapshotError(f"The serving snapshot {self.folder} cannot be opened: {error}.") from error

    def _open_if_there(self, *names: str) -> Iterator[tuple[str, Any]]:
        """The databases that a snapshot may lack, and that are not empty."""
        for name in names:
            with suppress(lmdb.NotFoundError):
                database = self._environment.open_db(name.encode(), create=False)
                with self._environment.begin(db=database) as transaction:
                    if transaction.stat(database)["entries"]:
                        yield name, database

    def alias_of(self, user_id: str) -> str | None:
        """The reader to whom an id was joined; None for an id that stands for itself."""
        found = self._get(ALIASES, user_id) if self.has_aliases else None
        return found.decode() if found is not None else None

    def unit_of(self, user_id: str) -> str | None:
        """The id by which the experiments of a reader are dealt; None for one whom no answer of one was shown."""
        found = self._get(UNITS, user_id) if UNITS in self._databases else None
        return found.decode() if found is not None else None

    def known_ids(self, event_ids: Sequence[str]) -> set[str]:
        """Those of some event ids that the profiles are made of."""
        if EVENTS not in self._databases:
            return set()
        keys = {_event_key(each): each for each in event_ids}
        with self._environment.begin(db=self._databases[EVENTS]) as transaction:
            return {keys[key] for key, _ in transaction.cursor().getmulti(list(keys))}

    def profile(self, user_id: str) -> Profile | None:
        """The profile of a reader; None for an unknown one."""
        found = self._get("profiles", user_id)
        return _decode_profile(found) if found is not None else None

    def first_profiles(self, most: int) -> list[tuple[str, Profile]]:
        """The first readers by id with their profiles, to look at; ids that are too long for a key are left out."""
        with self._environment.begin(db=self._databases["profiles"]) as transaction:
            found = list(islice(transaction.cursor(), most))
        return [(key.decode(), _decode_profile(value)) for key, value in found if not key.startswith(b"\0")]

    def listed(self, kind: str, key: str) -> list[ListedBook] | None:
        """A list of `published`, `similar` or `popular`; None if there is none for that key."""
        found = self._get(kind, key)
        return _decode_list(found) if found is not None else None

    def book(self, book_id: str) -> bytes | None:
        """The attributes of a book as JSON; None for an unknown one."""
        return self._get("books", book_id)

    def books(self, book_ids: Sequence[str]) -> list[bytes | None]:
        """The attributes of books as JSON, None for unknown ones."""
        found = list(map(self._books.get, book_ids))
        if None in found:
            self._read_books({book for book, known in zip(book_ids, found, strict=True) if known is None})
            found = [self._books.get(book) or self.book(book) for book in book_ids]
        return found

    def _read_books(self, book_ids: Iterable[str]) -> None:
        """Keep the attributes of books, as long as there is room: the same ones are listed again and again."""
        with self._environment.begin(db=self._databases["books"]) as transaction:
            for book_id in book_ids:
                book = transaction.get(_key(book_id))
                if book is not None and self._books_bytes < _KEPT_BOOK_BYTES:
                    self._books[book_id] = book
                    self._books_bytes += len(book) + len(book_id) + _ENTRY_BYTES

    def _get(self, database: str, key: str) -> bytes | None:
        with self._environment.begin(db=self._databases[database]) as transaction:
            found: bytes | None = transaction.get(_key(key))
            return found


def items_in(folder: Path) -> Dataset:
    """Read the books of a folder as a data set without readers."""
    nobody = pa.table({name: pa.array([], kind) for name, kind in _NO_INTERACTIONS.items()})
    return build_dataset(nobody, pa.table({"user_id": pa.array([], pa.string())}), pq.read_table(folder / ITEMS))


def rules_in(folder: Path) -> ListRules:
    """Read the list rules of a folder."""
    return parse_list_rules(json.loads((folder / RULES).read_text(encoding="utf-8")), where=RULES)


def _newest_books(folder: Path) -> list[ListedBook]:
    """The books that were published last, of those that are available; none if the catalog does not say when."""
    given = pq.ParquetFile(folder / ITEMS).schema_arrow.names
    if _PUBLISHED not in given:
        return []
    table = pq.read_table(
        folder / ITEMS, columns=[name for name in ("book_id", _PUBLISHED, _AVAILABLE) if name in given]
    )
    known = table.filter(pc.is_valid(table[_PUBLISHED]))
    known = known.filter(pc.fill_null(known[_AVAILABLE], True)) if _AVAILABLE in given else known
    newest = known.sort_by([(_PUBLISHED, "descending"), ("book_id", "ascending")]).slice(0, _MOST_NEW)
    return [ListedBook(book) for book in newest["book_id"].cast(pa.string()).to_pylist()]


def _signals_of(folder: Path) -> Signals:
    """What an event says about a book."""
    found = msgspec.json.decode((folder / SIGNALS).read_bytes(), type=Signals)
    # Snapshots of early gateways have no names.
    return found if found.names else msgspec.structs.replace(found, names=package_signals().names)


_NO_INTERACTIONS = {
    "user_id": pa.string(),
    "book_id": pa.string(),
    "weight": pa.float32(),
    "is_positive": pa.bool_(),
    "is_finished": pa.bool_(),
    "last_action": pa.string(),
    "last_at": pa.timestamp("us"),
}
_decode_profile = msgspec.msgpack.Decoder(Profile).decode
_decode_list = msgspec.msgpack.Decoder(_LIST).decode


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read the manifest and check the files. Raises SnapshotError if one is missing or was changed."""
    try:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        if manifest["format"] != FORMAT:
            raise ValueError(f"its format is {manifest['format']}, not {FORMAT}")
        for name, digest in manifest["files"].items():
            if file_sha256(folder / name) != digest:
                raise ValueError(f"{name} was changed")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SnapshotError(
            f"The serving snapshot {folder} cannot be used ({error}): materialize `serving/snapshot` again."
        ) from error
    return manifest
