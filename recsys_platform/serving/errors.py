"""Errors of serving; errors of AWS are `HubError` (common/aws.py)."""

from recsys_platform.common.errors import RecsysError


class DeployError(RecsysError):
    """A model version, an endpoint or a share of traffic cannot be deployed."""


class ArtifactError(RecsysError):
    """The artifact of a model version is missing, damaged, or does not answer as it should."""


class SnapshotError(RecsysError):
    """The serving snapshot is missing or damaged."""


class BackendError(RecsysError):
    """A model host does not answer, or not in time."""


class NoSuchModelError(BackendError):
    """A model host does not have this model, or not yet."""


class RequestRefusedError(BackendError):
    """A model host does not accept this request; others may be answered."""
