"""Templates of every size, made once: synthesis itself fails if a rule of AwsSolutions finds something unexplained."""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

os.environ.setdefault("JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION", "1")
os.environ.setdefault("JSII_SILENCE_WARNING_DEPRECATED_NODE_VERSION", "1")

from infra.app import build, new_app
from infra.deployment import SIZE_NAMES, Deployment
from infra.names import Names

FOLDER = Path(__file__).parents[1] / "cdk.out"
DEPLOYMENTS = (
    *(Deployment("prod", size) for size in SIZE_NAMES),
    Deployment(
        "dev", "small", saml_metadata="https://sign-in.example.com/metadata", web_origins=("https://app.example.com",)
    ),
)
Resource = Mapping[str, Any]


@dataclass(frozen=True)
class Templates:
    """The templates of a deployment, by component."""

    deployment: Deployment
    stacks: Mapping[str, Mapping[str, Any]]

    @property
    def names(self) -> Names:
        return Names(self.deployment)

    def of_type(self, kind: str) -> Iterator[tuple[str, Resource]]:
        """Resources of a type in all stacks, with `component/logical id`."""
        for component, template in self.stacks.items():
            for logical_id, resource in template["Resources"].items():
                if resource["Type"] == kind:
                    yield f"{component}/{logical_id}", resource

    def properties(self, kind: str) -> dict[str, Any]:
        return {name: resource.get("Properties", {}) for name, resource in self.of_type(kind)}


def synthesise(deployment: Deployment, folder: Path) -> Templates:
    app = new_app(str(folder))
    build(app, deployment)
    stacks = {
        each.stack_name.removeprefix(f"recsys-{deployment.stage}-"): json.loads(
            Path(each.template_full_path).read_text()
        )
        for each in app.synth().stacks
    }
    return Templates(deployment, stacks)


@pytest.fixture(scope="session")
def all_templates() -> dict[str, Templates]:
    """Templates by `stage-size`, as far as tests asked for them."""
    return {}


@pytest.fixture(scope="session", params=DEPLOYMENTS, ids=lambda each: each.label)
def templates(request: pytest.FixtureRequest, all_templates: dict[str, Templates]) -> Templates:
    deployment: Deployment = request.param
    return _templates_of(deployment, all_templates)


def _templates_of(deployment: Deployment, made: dict[str, Templates]) -> Templates:
    if deployment.label not in made:
        made[deployment.label] = synthesise(deployment, FOLDER / deployment.label)
    return made[deployment.label]


@pytest.fixture(scope="session")
def every_template(all_templates: dict[str, Templates]) -> dict[str, Mapping[str, Any]]:
    """The templates of all deployments, by `stage-size` and component."""
    return {each.label: _templates_of(each, all_templates).stacks for each in DEPLOYMENTS}
