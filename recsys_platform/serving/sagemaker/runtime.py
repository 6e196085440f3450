"""An endpoint of SageMaker as a model host.

Belongs here: asking an endpoint. Does not: which models are behind it (deployment.py), what is answered instead (serving/).
"""

from typing import Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError

from recsys_platform.common.aws import client, error_code
from recsys_platform.recommender.registry.versions import PRODUCTION
from recsys_platform.serving.errors import BackendError, NoSuchModelError, RequestRefusedError
from recsys_platform.serving.model_hosts import CONNECT_SECONDS, DEADLINE_SECONDS, MOST_BYTES

_JSON = "application/json"
_CLIENT_ERRORS = range(400, 500)


class SageMakerHost:
    """Asks an endpoint; another model than production's is the variant of that name."""

    def __init__(self, endpoint: str, seconds: float = DEADLINE_SECONDS) -> None:
        """`endpoint`: its name; credentials and region come from boto3's usual sources. Raises HubError without a region.

        `seconds`: how long a request waits for its answer.
        """
        self._endpoint = endpoint
        config = Config(
            connect_timeout=max(CONNECT_SECONDS, seconds / 2),
            read_timeout=seconds,
            retries={"total_max_attempts": 1},
            max_pool_connections=40,
        )
        self._client = client("sagemaker-runtime", config)

    def invoke(self, alias: str, content: bytes, seconds: float) -> bytes:
        """The answer to a request; the deadline is that of the client, whatever is left of it.

        Raises NoSuchModelError if the endpoint has no such variant or its container no such model, RequestRefusedError if the
        container refuses the request, another BackendError if there is no answer.
        """
        target: dict[str, Any] = {} if alias == PRODUCTION else {"TargetVariant": alias}
        given = {"EndpointName": self._endpoint, "Body": content, "ContentType": _JSON, "Accept": _JSON}
        try:
            answer = self._client.invoke_endpoint(**given, **target)
            found: bytes = answer["Body"].read(MOST_BYTES + 1)
        except ClientError as error:
            raise _backend_error(error, has_target=bool(target)) from error
        except (BotoCoreError, HTTPClientError) as error:
            raise BackendError(type(error).__name__) from error
        return found


def _backend_error(error: ClientError, *, has_target: bool) -> BackendError:
    """What an error of `InvokeEndpoint` says of the model: a variant that is not there is a ValidationError."""
    code, status = error_code(error), int(error.response.get("OriginalStatusCode") or 0)
    if (has_target and code == "ValidationError") or (code == "ModelError" and status == 404):
        return NoSuchModelError(f"AWS answered {code}")
    if code == "ModelError" and status in _CLIENT_ERRORS:
        return RequestRefusedError(f"status {status}")
    return BackendError(f"AWS answered {code}")
