"""A typed client of the recommendation API, generated from its OpenAPI document."""

from .api.default import AsyncRecsys, Recsys
from .errors import ApiError

__all__ = ("ApiError", "AsyncRecsys", "Recsys")
