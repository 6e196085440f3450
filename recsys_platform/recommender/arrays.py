"""The array types that the recommender speaks.

Belongs here: type aliases, nothing that computes. Does not: the data classes built of them.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

IntArray = npt.NDArray[np.int32]
FloatArray = npt.NDArray[np.float32]
DoubleArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
IdArray = npt.NDArray[np.object_]
"""Strings as Python objects: one long id must not widen all the others."""
TimeArray = npt.NDArray[np.datetime64]
AnyArray = npt.NDArray[Any]
Csr = sparse.csr_array[Any, tuple[int, int]]
