"""A model that is bad on purpose, for the canary to find: LightFM with its scores reversed.

Belongs here: making and registering it. Does not: bringing it to readers (driver.py).
"""

from collections.abc import Mapping

from recsys_platform.recommender.arrays import AnyArray
from recsys_platform.recommender.data.dataset import Dataset
from recsys_platform.recommender.registry.files import Provenance
from recsys_platform.recommender.registry.versions import Registry

NAME = "reversed"
_NEGATED = ("user_vectors", "from_history", "book_bias")
"""Vectors of readers, of trained ones and those folded in, and what books have for everybody."""


def register_reversed(registry: Registry, version: str, data: Dataset) -> str:
    """Register a LightFM version with reversed scores, and return the number of the new version."""
    found = registry.load(version)
    provenance = Provenance(
        created_at=found.info.created_at,
        data_hash=found.info.data_hash,
        code_version=str(found.manifest["code_version"]),
        params={"model": NAME, "of": found.info.label},
        catalogue_hash=data.catalogue_hash,
    )
    return registry.log(NAME, reversed_arrays(found.arrays), provenance)


def reversed_arrays(arrays: Mapping[str, AnyArray]) -> dict[str, AnyArray]:
    """The arrays of a LightFM model that scores books the other way round; readers without history keep their lists."""
    return {name: -array if name in _NEGATED else array for name, array in arrays.items()}
