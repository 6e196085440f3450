"""An artifact answers as its model version does, holds no reader, and is refused if anything in it changed."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from recsys_platform.recommender.arrays import FloatArray
from recsys_platform.recommender.data.dataset import Dataset
from recsys_platform.recommender.models.fallback import Readers, WithFallback
from recsys_platform.recommender.models.histories import histories_from
from recsys_platform.recommender.models.protocol import Recommender
from recsys_platform.recommender.models.trained import restore
from recsys_platform.recommender.registry.files import file_sha256
from recsys_platform.recommender.registry.versions import Registry
from recsys_platform.recommender.training.candidates import train
from recsys_platform.recommender.training.variants import load_variants
from recsys_platform.serving.artifact import load_artifact, write_artifact
from recsys_platform.serving.errors import ArtifactError
from tests.support.list_world import world
from tests.support.serving_world import NOW

VARIANTS = load_variants()
NAMES = ["popularity", "item_knn", "ease", "als", "sequence", "content", "lightfm", "blend"]


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    return Registry(tmp_path_factory.mktemp("registry"))


def data_of_order() -> Dataset:
    """The world of the lists, with an order in which books were liked."""
    data = world()
    rows = data.interactions
    times = rows.liked_at + np.arange(len(rows)).astype("timedelta64[h]")
    return replace(data, interactions=replace(rows, liked_at=times, last_at=times))


def scores_of(model: Recommender, readers: Readers) -> FloatArray:
    return model.scores_of(readers) if isinstance(model, WithFallback) else model.fold_in(readers.histories)


@pytest.mark.parametrize("name", NAMES)
def test_an_artifact_scores_histories_as_its_version_does_bit_for_bit(
    name: str, registry: Registry, tmp_path: Path
) -> None:
    data = data_of_order()
    version = registry.load(train(name, data, registry, variants=VARIANTS, now=NOW).version)
    artifact = load_artifact(write_artifact(version, tmp_path))
    whole = restore(name, version.arrays).model
    readers = Readers(histories_from([[], [1], [5, 2, 9, 30]], len(data.book_ids)), ["", "en", "de"], [[], ["art"], []])
    assert scores_of(artifact.model, readers).tobytes() == scores_of(whole, readers).tobytes()
    assert artifact.book_ids == data.book_ids.tolist()


@pytest.mark.parametrize("name", NAMES[:4])
def test_no_reader_is_in_an_artifact(name: str, registry: Registry, tmp_path: Path) -> None:
    data = world()
    folder = write_artifact(registry.load(train(name, data, registry, variants=VARIANTS, now=NOW).version), tmp_path)
    for path in folder.iterdir():
        assert b"u01" not in path.read_bytes()
        if path.suffix == ".npy":
            assert len(data.user_ids) not in np.load(path).shape or path.name == "gram.npy"


@pytest.fixture
def folder(registry: Registry, tmp_path: Path) -> Path:
    return write_artifact(registry.load(train("als", world(), registry, variants=VARIANTS, now=NOW).version), tmp_path)


DAMAGE = {
    "a changed array": lambda folder: (folder / "book_vectors.npy").write_bytes(b"other"),
    "a missing array": lambda folder: (folder / "book_vectors.npy").unlink(),
    "no manifest": lambda folder: (folder / "manifest.json").unlink(),
    "half a manifest": lambda folder: (folder / "manifest.json").write_text('{"format": 1'),
    "another format": lambda folder: change(folder, format=99),
    "a file outside": lambda folder: change(folder, files={"../x.npy": "0"}),
    "no files": lambda folder: change(folder, files={}),
    "other golden answers": lambda folder: (folder / "golden.json").write_text("{}"),
}


def change(folder: Path, **values: object) -> None:
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


@pytest.mark.parametrize("what", DAMAGE)
def test_a_damaged_artifact_is_refused_in_one_sentence(what: str, folder: Path) -> None:
    DAMAGE[what](folder)
    with pytest.raises(
        ArtifactError, match=r"artifact .* (cannot be used|is missing|written)|is missing or was changed"
    ):
        load_artifact(folder)


def test_an_artifact_whose_answers_are_not_those_of_its_version_is_refused(folder: Path) -> None:
    vectors = np.load(folder / "book_vectors.npy")
    np.save(folder / "book_vectors.npy", vectors[::-1])  # a consistent artifact of another model
    files = json.loads((folder / "manifest.json").read_text())["files"]
    change(folder, files=files | {"book_vectors.npy": file_sha256(folder / "book_vectors.npy")})
    with pytest.raises(ArtifactError, match="does not answer as its version did"):
        load_artifact(folder)
