"""Which role a client of AWS has in tests: that of the process whose code makes it.

One test process is several processes of the deployment at once. A client is made by the process that uses it, so the functions
that are running when it is made tell the role. A test that plays a process itself says so (`acting_as`), and a process that a test
starts has the access key of its role in its environment (`role_key`). Clients that tests make for themselves may do anything.
"""

import inspect
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import pytest
from botocore.session import Session

from tests.support.aws_rights import KEY_PREFIX

OUTSIDE = "outside"
"""Of the deployment: the commands of somebody with rights of their own."""
OTHER_SERVICES = {
    "firehose": "trackers put into it, and gateways where RECSYS_EVENT_STREAM names one; in the deployment it names the stream",
    "personalize": "the deployment has no campaign",
}
"""Services that no process of the deployment calls, and why."""
PROCESSES = (
    ("recsys_platform.serving.routing_files:ExperimentsFile.", "run"),
    ("recsys_platform.hub.sqs:", "code-server"),
    ("recsys_platform.cli.commands.sagemaker:deploy", OUTSIDE),
    ("recsys_platform.cli.commands.sagemaker:", "run"),
    ("recsys_platform.reports.site:page_of", "reports"),
    ("recsys_platform.common.aws_secrets:", "run"),  # `recsys keys`
    ("recsys_platform.serving.gateway.", "gateway"),
    ("recsys_platform.defs.automation.run:", "run"),  # `recsys run`: the run is in the command's own process
    ("recsys_platform.defs.automation.", "code-server"),
    ("recsys_platform.defs.serving.canary:", "code-server"),
    ("recsys_platform.cli.", "run"),
    ("recsys_platform.defs.", "run"),
    ("recsys_platform.notifications.", "code-server"),
    ("recsys_platform.serving.sagemaker.endpoint:", OUTSIDE),
    ("recsys_platform.serving.sagemaker.archive:", OUTSIDE),
    ("recsys_platform.serving.rollout.", "run"),
    ("recsys_platform.serving.", "gateway"),
    ("recsys_platform.", "run"),
)
"""Processes by the functions that run in them (`module:function` begins so), the first that fits: a library that no process
encloses is a run's, since runs call all of it."""
_acting: ContextVar[str | None] = ContextVar("acting", default=None)


def role_key(process: str) -> dict[str, str]:
    """The variables by which a process that a test starts has its role."""
    return {"AWS_ACCESS_KEY_ID": KEY_PREFIX + process}


@contextmanager
def acting_as(process: str) -> Iterator[None]:
    """Give clients that are made in the block the role of a process."""
    token = _acting.set(process)
    try:
        yield
    finally:
        _acting.reset(token)


@contextmanager
def roles_by_caller() -> Iterator[None]:
    """Give each client of boto3 the role of the process that makes it."""
    create: Callable[..., Any] = Session.create_client

    def create_client(session: Session, service_name: str, *args: Any, **given: Any) -> Any:
        process = OUTSIDE if service_name in OTHER_SERVICES else _acting.get() or _process_of_caller()
        if process not in (None, OUTSIDE) and os.environ.get("AWS_ACCESS_KEY_ID") == "testing":
            given |= {"aws_access_key_id": KEY_PREFIX + str(process), "aws_secret_access_key": "testing"}
        return create(session, service_name, *args, **given)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Session, "create_client", create_client)
        yield


def _process_of_caller() -> str | None:
    running = [_function(frame.frame) for frame in inspect.stack(context=0)]
    return next((process for start, process in PROCESSES if any(each.startswith(start) for each in running)), None)


def _function(frame: Any) -> str:
    return f"{frame.f_globals.get('__name__', '')}:{frame.f_code.co_qualname}"
