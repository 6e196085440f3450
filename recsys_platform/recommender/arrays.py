"""Array types of the recommender.

Belongs here: type aliases. Does not: data classes, functions.
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
"""Strings as Python objects, because one long id would widen a fixed-width array."""
TimeArray = npt.NDArray[np.datetime64]
AnyArray = npt.NDArray[Any]
Csr = sparse.csr_array[Any, tuple[int, int]]
