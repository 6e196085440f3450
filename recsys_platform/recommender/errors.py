"""What can go wrong in the recommender, said in one sentence.

Belongs here: errors that a user of the recommender can mend. Does not: programming errors, which stay ValueError.
"""

from recsys_platform.common.errors import RecsysError


class DataError(RecsysError):
    """The interactions, users or books cannot be trained on."""


class NothingToLearnError(DataError):
    """The world is too young for one model; others may do."""


class ModelError(RecsysError):
    """A model gave something that cannot be ranked, or its arrays do not fit it."""


class ListRulesError(RecsysError):
    """The file that says how lists are made has a mistake in it."""


class RegistryError(RecsysError):
    """A model version is missing, damaged or would be overwritten."""
