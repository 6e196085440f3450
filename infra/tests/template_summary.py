"""What templates say, short enough to be read in a review: `python -m infra.tests.template_summary` writes templates.txt anew.

Of one deployment every resource has a line: small values as they are, of others a digest, so that a difference names the property. Of
the others each stack has a digest. Belongs here: the form of the summary. Does not: what templates must hold (test_templates.py).
"""

import hashlib
import json
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

FILE = Path(__file__).parent / "templates.txt"
WHOLE = "prod-medium"
"""The deployment of which every resource is told."""
_LONGEST = 48


def summary(deployments: Mapping[str, Mapping[str, Any]]) -> str:
    """The text of templates.txt. `deployments`: by `stage-size` the templates by component."""
    lines = [line for stack, template in sorted(deployments[WHOLE].items()) for line in _resources(stack, template)]
    for name, stacks in sorted(deployments.items()):
        lines += [f"{name} {stack} {_digest(template)}" for stack, template in sorted(stacks.items())]
    return "\n".join(lines) + "\n"


def _resources(stack: str, template: Mapping[str, Any]) -> Iterator[str]:
    for logical_id, resource in sorted(template["Resources"].items(), key=lambda each: (each[1]["Type"], each[0])):
        given = {
            **resource.get("Properties", {}),
            **{name: resource[name] for name in ("Condition", "DependsOn") if name in resource},
        }
        told = " ".join(f"{name}={_short(value)}" for name, value in sorted(given.items()) if name != "Tags")
        yield f"{stack} {resource['Type'].removeprefix('AWS::')} {logical_id} {told}".rstrip()


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True, ensure_ascii=False)
    return text if len(text) <= _LONGEST and "\n" not in text else f"#{_digest(value)}"


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:8]


def main() -> None:
    """Synthesise every deployment and write the summary."""
    from infra.tests.conftest import DEPLOYMENTS, synthesise

    with tempfile.TemporaryDirectory() as folder:
        found = {each.label: synthesise(each, Path(folder) / each.label).stacks for each in DEPLOYMENTS}
    FILE.write_text(summary(found), encoding="utf-8")


if __name__ == "__main__":
    main()
