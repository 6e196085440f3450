"""Build all images of infra/Dockerfile with the container engine of this machine, and what each holds (SBOM) into dist/sbom.

Usage: image_build.py [--tag TAG] [--base IMAGE] [--source ADDRESS] [TARGET …]
"""

import argparse
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from infra.processes import IMAGES  # noqa: E402

ENGINES = {"docker": "build", "podman": "build", "buildah": "bud"}
"""Engines in the order they are looked for, and the subcommand of each that builds."""
DOCKER_FORMAT = ("--format", "docker")
"""podman and buildah leave health checks out otherwise."""
FOR_AWS = ("--platform", "linux/amd64", "--provenance=false")
"""Fargate runs x86 unless a task says otherwise; ECR scans, and SageMaker starts, no index with an attestation in it."""
SBOMS = ROOT / "dist" / "sbom"


@dataclass(frozen=True)
class Engine:
    """A program that builds images, with the options that stand before and after its subcommand."""

    name: str
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()

    def build(self, target: str, *options: str) -> None:
        """Build one stage of the Dockerfile; its words go to this terminal."""
        own = FOR_AWS if self.name == "docker" else ("--layers", *DOCKER_FORMAT)
        command = [self.name, *self.before, ENGINES[self.name], *own, *self.after]
        command += ["-f", "infra/Dockerfile", "--target", target, *options, "."]
        if subprocess.run(command, cwd=ROOT, check=False).returncode:
            sys.exit(
                f"error: {self.name} could not build the stage {target} of infra/Dockerfile: its words stand above."
            )


def engine_of_machine() -> Engine:
    """The first engine that works here; exit with a sentence if none does."""
    found = [name for name in ENGINES if shutil.which(name)]
    for name in found:
        if subprocess.run([name, "info"], capture_output=True, check=False).returncode == 0:
            return Engine(name)
    told = (
        f"{' and '.join(found)} found, but `{found[0]} info` fails: start its engine" if found else "none is installed"
    )
    sys.exit(f"error: images need a container engine that runs, docker, podman or buildah: {told}.")


def labels(source: str) -> list[str]:
    """Build arguments that the images' labels are made of. `source`: the address of the repository."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    given = {"VERSION": version, "REVISION": revision(), **({"SOURCE": source} if source else {})}
    return [part for name, value in given.items() for part in ("--build-arg", f"{name}={value}")]


def revision() -> str:
    """The commit of the checkout, with `-dirty` where files differ from it; `unknown` outside of git."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--match", "-"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def build(engine: Engine, targets: Sequence[str], tag: str, *, base: str = "", source: str = "") -> None:
    """Build images named recsys-TARGET:TAG, and where all are built write their SBOMs. `base`: the BASE of the Dockerfile."""
    arguments = [*labels(source), *(("--build-arg", f"BASE={base}") if base else ())]
    for target in targets:
        print(f"image recsys-{target}:{tag}", flush=True)
        engine.build(target, *arguments, "-t", f"recsys-{target}:{tag}")
    if set(targets) == set(IMAGES):
        SBOMS.mkdir(parents=True, exist_ok=True)
        engine.build("sbom", *arguments, "--output", f"type=local,dest={SBOMS}")


def main() -> None:
    """Build what the arguments name, all images by default."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(IMAGES)}; all by default")
    parser.add_argument("--tag", default="latest", help="tag of the images (latest)")
    parser.add_argument("--base", default="", help="base image with Python 3.12 or 3.13, by its digest for a delivery")
    parser.add_argument("--source", default="", help="address of the repository, for the label")
    given = parser.parse_args()
    if wrong := set(given.targets) - set(IMAGES):
        sys.exit(f"error: {', '.join(sorted(wrong))} is not an image: name some of {', '.join(IMAGES)}.")
    build(engine_of_machine(), given.targets or IMAGES, given.tag, base=given.base, source=given.source)


if __name__ == "__main__":
    main()
