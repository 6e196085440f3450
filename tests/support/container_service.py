"""A server that speaks what `infra/platform_task.py` asks of ECS and CloudWatch Logs, and runs a task's command as ECS would."""

import http.server
import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

NETWORK = {"awsvpcConfiguration": {"subnets": ["subnet-1"], "securityGroups": ["sg-1"]}}
JSON = "application/x-amz-json-1.1"


class ContainerService:
    """Services that exist by name, tasks that ran, and what they printed. `fails`: the reason why no task is started. `late`: how
    often printed lines are asked for before they are shown.
    """

    def __init__(self, *services: str) -> None:
        self.services, self.tasks, self.requests = services, {}, []  # type: ignore[var-annotated]
        self.fails = self.dies = ""
        self.late = 0

    def answer(self, action: str, asked: dict[str, Any]) -> dict[str, Any]:
        self.requests.append((action, asked))
        return dict(getattr(self, action)(asked))

    def DescribeServices(self, asked: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        found = [each for each in asked["services"] if each in self.services]
        return {"services": [{"serviceName": each, "networkConfiguration": NETWORK} for each in found]}

    def RunTask(self, asked: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        if self.fails:
            return {"tasks": [], "failures": [{"reason": self.fails}]}
        [container] = asked["overrides"]["containerOverrides"]
        arn = f"arn:aws:ecs:eu-west-1:1:task/{asked['cluster']}/{len(self.tasks)}"
        task = {"taskArn": arn, "lastStatus": "STOPPED", "containers": [{"name": container["name"]}]}
        if self.dies:
            task["stoppedReason"] = self.dies
        else:
            done = subprocess.run(container["command"], check=False, capture_output=True, text=True)
            task["containers"][0]["exitCode"] = done.returncode  # type: ignore[index]
            self.tasks[arn] = (task, (done.stdout + done.stderr).splitlines())
        self.tasks.setdefault(arn, (task, []))
        return {"tasks": [{**task, "lastStatus": "PROVISIONING"}]}

    def DescribeTasks(self, asked: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        return {"tasks": [self.tasks[arn][0] for arn in asked["tasks"]]}

    def GetLogEvents(self, asked: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        task = asked["logStreamName"].rpartition("/")[2]
        lines = next(lines for arn, (_, lines) in self.tasks.items() if arn.endswith(f"/{task}"))
        first = int(asked.get("nextToken", "0"))
        if self.late:
            self.late -= 1
            return {"events": [], "nextForwardToken": str(first)}
        return {
            "events": [{"message": line} for line in lines[first : first + 2]],
            "nextForwardToken": str(min(first + 2, len(lines))),
        }


@contextmanager
def container_service(service: ContainerService) -> Iterator[str]:
    """The address of the service on the loopback."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            body = json.dumps(service.answer(self.headers["X-Amz-Target"].rpartition(".")[2], asked)).encode()
            self.send_response(200)
            self.send_header("Content-Type", JSON)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
