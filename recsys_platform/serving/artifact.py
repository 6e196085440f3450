"""Item-side artifacts: what a model host needs of a model version, with no reader in it, and proof that it answers as it should.

Belongs here: writing an artifact, reading and checking it. Does not: which version is served (following.py), the archive for SageMaker
(sagemaker/).

An artifact is a folder: the arrays of the version without readers, `golden.json` with histories and the scores of their best books by
the version itself, and `manifest.json` with the SHA-256 of each file. A reader that asks for recommendations brings the history along.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np

from recsys_platform.recommender.arrays import AnyArray, FloatArray
from recsys_platform.recommender.models.fallback import Readers, WithFallback
from recsys_platform.recommender.models.histories import histories_from
from recsys_platform.recommender.models.protocol import Recommender
from recsys_platform.recommender.models.trained import TrainedModel, restore, without_readers
from recsys_platform.recommender.ranking.top_k import top_k
from recsys_platform.recommender.registry.files import MANIFEST, array_name, file_sha256, read_array, write_arrays
from recsys_platform.recommender.registry.versions import ModelVersion
from recsys_platform.serving.errors import ArtifactError
from recsys_platform.serving.folders import draft_folder, put_in_place

GOLDEN = "golden.json"
FORMAT = 1
GOLDEN_HISTORIES, GOLDEN_BOOKS, LONGEST_HISTORY = 50, 20, 30
_TOLERANCE = 1e-3
"""Scores on another processor may differ in the last bits; a wrong or damaged array differs by more."""


@dataclass(frozen=True)
class Artifact:
    """A model version ready to serve. `label`: `blend-v12`; `content`: hash of the registered version."""

    model: Recommender
    book_ids: Sequence[str]
    variant: str
    label: str
    content: str
    catalogue_hash: str


def artifact_name(label: str, content: str) -> str:
    """The name of an artifact's folder; other registries count their versions from 1 as well."""
    return f"{label}-{content[:12]}"


def write_artifact(version: ModelVersion, parent: Path, *, again: bool = False) -> Path:
    """Write the artifact of a version below a folder, unless it is there; return its folder. `again`: in place of a damaged one."""
    folder = parent / artifact_name(version.info.label, version.info.content)
    if (folder / MANIFEST).is_file() and not again:
        return folder
    with draft_folder(parent) as draft:
        _write_files(version, draft)
        if again or not (folder / MANIFEST).is_file():  # another process may have been faster
            put_in_place(draft, folder)
    return folder


def _write_files(version: ModelVersion, folder: Path) -> None:
    info = version.info
    golden = golden_answers(restore(info.variant, version.arrays))
    (folder / GOLDEN).write_text(json.dumps(golden), encoding="utf-8")
    files = write_arrays(folder, without_readers(version.arrays))
    manifest = _Manifest(format=FORMAT, files=files, **{name: getattr(info, name) for name in _COPIED})
    (folder / MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(manifest)))


def load_artifact(folder: Path) -> Artifact:
    """Read an artifact: hashes, arrays, golden answers. Raises ArtifactError if anything is not as it was written."""
    manifest = _read_manifest(folder)
    arrays_of = {name: digest for name, digest in manifest.files.items() if name != GOLDEN}
    try:
        arrays = {array_name(name): read_array(folder / name, digest) for name, digest in arrays_of.items()}
        trained = restore(manifest.variant, arrays)
        _check_golden(trained, folder, manifest.files.get(GOLDEN, ""))
    except ArtifactError:
        raise
    except Exception as error:  # a damaged array may break anywhere in a model
        raise ArtifactError(f"The artifact {folder} cannot be used: {error}") from error
    content = {name: getattr(manifest, name) for name in _COPIED}
    return Artifact(trained.model, trained.book_ids.tolist(), **content)


class _Manifest(msgspec.Struct, frozen=True):
    format: int
    variant: str
    label: str
    content: str
    catalogue_hash: str
    files: dict[Annotated[str, msgspec.Meta(pattern=r"^[^/\\]+$")], str]


_COPIED = ("variant", "label", "content", "catalogue_hash")


def _read_manifest(folder: Path) -> _Manifest:
    try:
        manifest = msgspec.json.decode((folder / MANIFEST).read_bytes(), type=_Manifest)
    except (OSError, msgspec.DecodeError) as error:
        raise ArtifactError(
            f"The artifact {folder} cannot be used: its manifest is missing or damaged ({error})."
        ) from error
    if manifest.format != FORMAT:
        raise ArtifactError(f"The artifact {folder} cannot be used: its format is {manifest.format}, not {FORMAT}.")
    return manifest


def golden_answers(trained: TrainedModel) -> dict[str, Any]:
    """Return histories, languages and interests with the best books of each and their scores, by the model itself."""
    readers = _golden_readers(trained)
    scores = _scores_of(trained, readers)
    best = top_k(
        lambda rows: scores[rows], np.arange(len(scores), dtype=np.int32), k=min(GOLDEN_BOOKS, scores.shape[1])
    )
    return readers | {"books": best.books.tolist(), "scores": best.scores.astype(float).tolist()}


def _golden_readers(trained: TrainedModel) -> dict[str, Any]:
    """Made-up readers, equal for equal catalogs: no real history gets into an artifact."""
    n_books = len(trained.book_ids)
    random = np.random.default_rng(n_books)
    lengths = random.integers(0, min(LONGEST_HISTORY, n_books) + 1, GOLDEN_HISTORIES)
    fallback = trained.model.fallback if isinstance(trained.model, WithFallback) else None
    languages = fallback.popularity.languages.tolist() if fallback else [""]
    topics = [*(fallback.topics.tolist() if fallback else []), ""]
    return {
        "histories": [random.choice(n_books, size, replace=False).tolist() for size in lengths],
        "languages": [languages[at] for at in random.integers(0, len(languages), GOLDEN_HISTORIES)],
        "interests": [[topics[at]] for at in random.integers(0, len(topics), GOLDEN_HISTORIES)],
    }


def _scores_of(trained: TrainedModel, readers: Mapping[str, Any]) -> FloatArray:
    histories = histories_from(readers["histories"], len(trained.book_ids))
    if isinstance(trained.model, WithFallback):
        return trained.model.scores_of(Readers(histories, readers["languages"], readers["interests"]))
    return trained.model.fold_in(histories)


def _check_golden(trained: TrainedModel, folder: Path, digest: str) -> None:
    path = folder / GOLDEN
    if not path.is_file() or file_sha256(path) != digest:
        raise ArtifactError(f"{path} is missing or was changed: write the artifact again from the registry.")
    golden = json.loads(path.read_text(encoding="utf-8"))
    found = np.take_along_axis(_scores_of(trained, golden), np.array(golden["books"], np.int64), axis=1)
    expected: AnyArray = np.array(golden["scores"])
    if not np.allclose(found, expected, rtol=_TOLERANCE, atol=_TOLERANCE):
        raise ArtifactError(
            f"The artifact {folder} does not answer as its version did when it was written: write it again from the registry."
        )
