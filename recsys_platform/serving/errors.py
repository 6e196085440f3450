"""What can go wrong in a deployment, said in one sentence; what AWS refuses is a `HubError` (hub/aws.py)."""

from recsys_platform.common.errors import RecsysError


class DeployError(RecsysError):
    """A model version, an endpoint or a share of traffic is not such as can be deployed."""
