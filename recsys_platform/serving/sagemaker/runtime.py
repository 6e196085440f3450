"""An endpoint of SageMaker as a model host.

Belongs here: asking an endpoint. Does not: which models are behind it (deployment.py), what is answered instead (serving/).
"""

from typing import Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError

from recsys_platform.common.aws import client, error_code
from recsys_platform.recommender.registry.versions import PRODUCTION
from recsys_platform.serving.errors import BackendError
from recsys_platform.serving.model_hosts import CONNECT_SECONDS, DEADLINE_SECONDS, MOST_BYTES

_JSON = "application/json"
_NOT_WAITING = Config(
    connect_timeout=CONNECT_SECONDS,
    read_timeout=DEADLINE_SECONDS,
    retries={"total_max_attempts": 1},
    max_pool_connections=40,
)


class SageMakerHost:
    """Asks an endpoint; another model than production's is the variant of that name."""

    def __init__(self, endpoint: str) -> None:
        """`endpoint`: its name; credentials and region come from boto3's usual sources. Raises HubError without a region."""
        self._endpoint = endpoint
        self._client = client("sagemaker-runtime", _NOT_WAITING)

    def invoke(self, alias: str, content: bytes, seconds: float) -> bytes:
        """The answer to a request; the deadline is that of the client, whatever is left of it."""
        target: dict[str, Any] = {} if alias == PRODUCTION else {"TargetVariant": alias}
        given = {"EndpointName": self._endpoint, "Body": content, "ContentType": _JSON, "Accept": _JSON}
        try:
            answer = self._client.invoke_endpoint(**given, **target)
            found: bytes = answer["Body"].read(MOST_BYTES + 1)
        except ClientError as error:
            raise BackendError(f"AWS answered {error_code(error)}") from error
        except (BotoCoreError, HTTPClientError) as error:
            raise BackendError(type(error).__name__) from error
        return found
