"""User-facing errors of the recommender, each one sentence.

Belongs here: errors that a user can fix. Does not: programming errors, which are ValueError.
"""

from recsys_platform.common.errors import RecsysError


class DataError(RecsysError):
    """The interactions, users or books are invalid for training."""


class NothingToLearnError(DataError):
    """The data are too few for one model; other models may be trained."""


class ModelError(RecsysError):
    """A model or variant is invalid, does not match the data, or returned scores that cannot be ranked."""


class ListRulesError(RecsysError):
    """The file of list rules is invalid."""


class RegistryError(RecsysError):
    """A model version is missing, damaged or cannot be changed."""
