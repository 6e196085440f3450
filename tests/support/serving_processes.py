"""`recsys serve` and `recsys model-host` as processes of their own, to be stopped, killed and started again."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from recsys_platform.serving.gateway.keys import KeyStore
from tests.support.pace import wait_until
from tests.support.servers import free_port
from tests.support.serving_world import ServingWorld
from tests.support.steady_load import Plan

NO_LIMITS = "free=5/20 premium=50/200 partner=1000000/1000000"


class ServerProcess:
    """A server of a world: started with the block, killed after it. `settings`: without `RECSYS_`, in lower case."""

    def __init__(
        self,
        command: str,
        home: Path,
        *,
        ready: str,
        port: int | None = None,
        arguments: Sequence[str] = (),
        **settings: str,
    ) -> None:
        self.home, self.port, self.ready = home, port or free_port(), ready
        self.url = f"http://127.0.0.1:{self.port}"
        name = str(Path(sys.executable).with_name("recsys"))
        self._command = [name, command, "--port", str(self.port), *arguments]
        given = {f"RECSYS_{name.upper()}": value for name, value in settings.items()}
        self._environment = {**os.environ, "RECSYS_HOME": str(home), **given}
        self.log = home / f"{command}-{self.port}.log"
        self.process: subprocess.Popen[bytes]

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.kill()

    def start(self, *, waits: bool = True) -> Self:
        """Start it, and wait until it is ready."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self._command, env=self._environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        if waits:
            wait_until(self.answers, what=f"{self._command} is ready; its log: {self.log}")
        return self

    def answers(self, path: str | None = None) -> bool:
        """Whether it says that it is ready, or answers another path."""
        assert self.process.poll() is None, self.log.read_text(errors="replace")[-2000:]
        try:
            return self.client().get(path or self.ready).status_code == 200
        except httpx.TransportError:
            return False

    def client(self, **headers: str) -> httpx.Client:
        """A client without credentials."""
        return httpx.Client(base_url=self.url, headers=headers, timeout=20)

    def state(self) -> Any:
        """What `/readyz` says."""
        return self.client().get("/readyz").json()

    def send(self, what: signal.Signals) -> None:
        """Send a signal."""
        self.process.send_signal(what)

    def kill(self) -> None:
        """End it at once (`kill -9`)."""
        self.process.kill()
        self.process.wait()


class GatewayProcess(ServerProcess):
    """`recsys serve`, without limits; `key` is of an app."""

    def __init__(self, home: Path, **settings: Any) -> None:
        super().__init__("serve", home, **{"ready": "/readyz", "api_limits": NO_LIMITS} | settings)
        self.key = KeyStore(home / "serving" / "keys", "local").create("test")[1]

    def app(self) -> httpx.Client:
        """A client with the key of an app."""
        return self.client(authorization=f"Bearer {self.key}")


class HostProcess(ServerProcess):
    """`recsys model-host` of a world."""

    def __init__(self, home: Path, **settings: Any) -> None:
        super().__init__("model-host", home, **{"ready": "/ping"} | settings)


def plan_of(world: ServingWorld, *gateways: GatewayProcess, **changes: Any) -> Plan:
    """A plan that asks gateways of a world, with all readers and books of it."""
    users, books = world.marts["dim_users"]["user_id"], world.marts["dim_books"]["book_id"]
    given = {
        "urls": [each.url for each in gateways],
        "key": gateways[0].key,
        "readers": users.to_pylist(),
        "books": books.to_pylist(),
        "labels": [each.label for each in world.registry.versions()],
    }
    return Plan(**given | changes)
