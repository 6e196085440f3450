"""Errors of deployments; errors of AWS are `HubError` (common/aws.py)."""

from recsys_platform.common.errors import RecsysError


class DeployError(RecsysError):
    """A model version, an endpoint or a share of traffic cannot be deployed."""
