"""What may break behind the API, each as a function that breaks and mends it while requests go on.

`FAULTS` are those of a gateway that stands before and after; `run_fault` runs one under load. They are tests
(tests/serving/test_faults.py) and, for longer, a benchmark program (benchmarks/serving_faults.py).
"""

import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from recsys_platform.recommender.lists.list_rules import ListRules, parse_list_rules
from recsys_platform.recommender.registry.versions import PRODUCTION
from recsys_platform.serving.snapshot import CURRENT, DATA
from tests.support.pace import wait_until
from tests.support.serving_processes import GatewayProcess, HostProcess, plan_of
from tests.support.serving_world import ServingWorld
from tests.support.steady_load import Plan, Report, steady_load

RULES = parse_list_rules({})
NOTICED = 1.3
"""Seconds within which a gateway looks at everything again."""
EXPERIMENT = """
new_model:
  variants:
    control: {model: production, weight: 50}
    treatment: {model: "%s", weight: 50}
"""


@dataclass
class Scene:
    """A world with a gateway that answers. `times`: how often a fault happens; `seconds`: how long a state stays."""

    world: ServingWorld
    gateway: GatewayProcess
    host: HostProcess | None = None
    times: int = 1
    seconds: float = NOTICED

    @property
    def home(self) -> Path:
        return self.gateway.home

    @property
    def snapshots(self) -> Path:
        return self.world.home / "snapshots"

    def wait(self) -> None:
        """Let requests go on in the state of now."""
        time.sleep(self.seconds)

    def wait_for(self, source: str) -> None:
        """Wait until lists come from a source."""
        client = self.gateway.app()

        def reached() -> bool:
            found = client.get("/v1/users/u01/recommendations", params={"surface": str(time.time())})
            return bool(found.json()["source"] == source)

        wait_until(reached, what=f"lists that are {source}")


@dataclass(frozen=True)
class Fault:
    """`act` breaks and mends. `sources`, `variants`: what may answer meanwhile. `with_host`: the model is on a host.

    `is_outage`: the gateway itself is gone for a while, so that some requests are answered by nobody. `is_quick`: takes a few seconds.
    """

    act: Callable[[Scene], None]
    sources: tuple[str, ...] = ("live", "published", "popular")
    variants: tuple[str, ...] = ()
    with_host: bool = False
    is_outage: bool = False
    is_quick: bool = False
    changes: Mapping[str, Any] = field(default_factory=dict)

    def plan(self, scene: Scene) -> Plan:
        given = {"sources": list(self.sources), "variants": list(self.variants), **self.changes}
        return plan_of(scene.world, scene.gateway, **given)


def run_fault(fault: Fault, scene: Scene) -> Report:
    """Break and mend something while requests go on; what was answered."""
    with steady_load(fault.plan(scene)) as load:
        time.sleep(0.3)
        fault.act(scene)
        time.sleep(0.3)
    return load.report


@contextmanager
def scene_of(world: ServingWorld, home: Path, *, with_host: bool = False) -> Iterator[Scene]:
    """A gateway of a published world, with the model on a host if asked for."""
    with ExitStack() as stack:
        host = stack.enter_context(HostProcess(home)) if with_host else None
        settings = {"model_hosts": host.url} if host else {}
        gateway = stack.enter_context(GatewayProcess(home, **settings))
        scene = Scene(world, gateway, host)
        scene.wait_for("live")
        yield scene


@contextmanager
def moved_away(path: Path) -> Iterator[Path]:
    """A file or folder is gone, and comes back."""
    aside = path.with_name(f"{path.name}.aside")
    path.rename(aside)
    try:
        yield aside
    finally:
        if path.is_dir():
            shutil.rmtree(path)
        aside.replace(path)


@contextmanager
def replaced(path: Path, content: bytes | None) -> Iterator[None]:
    """A file has another content, or is a folder (which nobody can read, whatever the permissions), and is as it was again."""
    with moved_away(path):
        if content is None:
            path.mkdir()
        else:
            path.write_bytes(content)
        yield


def promote(scene: Scene, name: str) -> None:
    """Put a version into production and wait until it answers."""
    scene.world.registry.set_alias(PRODUCTION, scene.world.versions[name], why="a fault")
    serving = scene.host or scene.gateway
    label = scene.world.registry.info(scene.world.versions[name]).label
    client = scene.gateway.app()

    def answers() -> bool:
        found = client.get("/v1/users/u01/recommendations", params={"surface": str(time.time())}).json()
        return bool(found["source"] == "live" and found["model_version"] == label)

    wait_until(answers, what=f"{label} from {serving.url}")


def swap_models(scene: Scene) -> None:
    for number in range(max(2, scene.times)):
        promote(scene, ("als", "item_knn")[number % 2])


def damage_artifact(scene: Scene) -> None:
    """Arrays of the artifact in use and of the next one are cut."""
    for folder in (scene.world.home / "artifacts").iterdir():
        for array in folder.glob("*.npy"):
            content = array.read_bytes()
            array.unlink()
            array.write_bytes(content[: len(content) // 2])
    scene.wait()
    swap_models(scene)


def lose_registry(scene: Scene) -> None:
    for _ in range(scene.times):
        with moved_away(scene.world.registry.root):
            scene.wait()
        scene.wait()


def other_rules(number: int) -> ListRules:
    """Rules that were not published yet, since lists and rules that did not change make no new snapshot."""
    return parse_list_rules({"reranking": {"diversity": (number + 1) / 1000}})


def swap_snapshots(scene: Scene) -> None:
    for number in range(scene.times):
        folder = scene.world.publish(other_rules(number))
        wait_until(lambda: scene.gateway.state()["snapshot"] == folder.name, what=folder.name)  # noqa: B023


def remove_snapshots(scene: Scene) -> None:
    for _ in range(scene.times):
        with moved_away(scene.snapshots) as aside:
            kept = aside.with_name("kept")
            shutil.copytree(aside, kept)
            shutil.rmtree(aside)
            scene.wait()
            kept.rename(aside)
        scene.wait()


def go_back_to_old_snapshot(scene: Scene) -> None:
    scene.world.publish(other_rules(0))
    current = scene.snapshots / CURRENT
    newest = current.read_text()
    (old,) = (each.name for each in scene.snapshots.iterdir() if each.is_dir() and each.name != newest)
    for _ in range(scene.times):
        current.write_text(old)
        scene.wait()
        current.write_text(newest)
        scene.wait()


def half_write_snapshot(scene: Scene) -> None:
    """The newest version is named before all of it is there: without a manifest, with half of the data, with garbage."""
    current = scene.snapshots / CURRENT
    newest = current.read_text()
    for _ in range(scene.times):
        for number, damage in enumerate((_without_manifest, _half_of_data, _garbage)):
            folder = scene.snapshots / f"half-{number}"
            shutil.copytree(scene.snapshots / newest, folder)
            damage(folder)
            current.write_text(folder.name)
            scene.wait()
            shutil.rmtree(folder)
        for text in ("", "nothing", "../keys", "\0", "x" * 5000):
            current.write_text(text)
            time.sleep(scene.seconds / 3)
        with replaced(current, None):
            scene.wait()
        current.write_text(newest)
        scene.wait()


def _without_manifest(folder: Path) -> None:
    (folder / "manifest.json").unlink()


def _half_of_data(folder: Path) -> None:
    os.truncate(folder / DATA, (folder / DATA).stat().st_size // 2)


def _garbage(folder: Path) -> None:
    (folder / DATA).write_bytes(os.urandom(100_000))


def break_experiments(scene: Scene) -> None:
    """An experiment runs; its file becomes invalid, another kind of thing, unreadable, and goes."""
    path = scene.home / "config" / "experiments.yaml"
    path.parent.mkdir(exist_ok=True)
    valid = (EXPERIMENT % scene.world.versions["als"]).encode()
    path.write_bytes(valid)
    wait_until(lambda: len(scene.gateway.state()["models"]) == 2, what="the model of the experiment")
    for _ in range(scene.times):
        for content in (
            b"new_model: {variants: [",
            b"[1, 2]",
            b"\xff\xfe\0",
            b"new_model: {variants: {a: {weight: 1000}}}",
            None,
        ):
            with replaced(path, content):
                time.sleep(scene.seconds / 2)
        with moved_away(path):
            scene.wait()
    path.unlink()


def break_keys(scene: Scene) -> None:
    """Keys and pepper become garbage, something that cannot be read, and go, the whole folder as well."""
    folder = scene.world.home / "keys"
    for _ in range(scene.times):
        for path in (folder / "keys.json", folder / "pepper"):
            for content in (b"[{}]", b"\xff\0", b"", None):
                with replaced(path, content):
                    scene.wait()
            with moved_away(path):
                scene.wait()
        with moved_away(folder):
            scene.wait()
        scene.wait()


def kill_host(scene: Scene) -> None:
    assert scene.host
    for _ in range(scene.times):
        scene.host.kill()
        scene.wait()
        scene.host.start()
        scene.wait_for("live")


def stop_host(scene: Scene) -> None:
    assert scene.host
    for _ in range(scene.times):
        scene.host.send(signal.SIGSTOP)
        scene.wait()
        scene.host.send(signal.SIGCONT)
        scene.wait_for("live")


def kill_gateway(scene: Scene) -> None:
    for _ in range(scene.times):
        scene.wait()
        scene.gateway.kill()
        scene.gateway.start()


def start_without_snapshot(scene: Scene) -> None:
    """A gateway starts before anything is published; the first snapshot comes while it serves."""
    with moved_away(scene.snapshots):
        scene.gateway.kill()
        scene.gateway.start(waits=False)
        wait_until(lambda: scene.gateway.answers("/healthz"), what="a gateway without a snapshot")
        scene.wait()
    scene.wait_for("live")


FAULTS: Mapping[str, Fault] = {
    "models swapped": Fault(swap_models),
    "artifacts damaged": Fault(damage_artifact),
    "registry gone": Fault(lose_registry, is_quick=True),
    "snapshots swapped": Fault(swap_snapshots),
    "snapshots removed": Fault(remove_snapshots, is_quick=True),
    "snapshot old": Fault(go_back_to_old_snapshot),
    "snapshot half written": Fault(half_write_snapshot),
    "experiments broken": Fault(break_experiments, variants=("control", "treatment")),
    "key store unreadable": Fault(break_keys),
    "model host killed": Fault(kill_host, with_host=True),
    "model host stopped": Fault(stop_host, with_host=True),
    "models swapped on a host": Fault(swap_models, with_host=True),
    "gateway killed": Fault(kill_gateway, is_outage=True),
    "started without a snapshot": Fault(
        start_without_snapshot, is_outage=True, sources=("live", "published", "popular", "none")
    ),
}
