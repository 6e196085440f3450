"""YAML files that people write: read strictly, since YAML itself lets the last of two equal names win and says nothing."""

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml


class _NamesOnce(yaml.SafeLoader):
    """Refuses a mapping that holds a name twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """As the safe loader's, once every name was found to be there once."""
        seen: set[Any] = set()
        for key_node, _ in node.value:
            name = key_node.value if isinstance(key_node, yaml.ScalarNode) else None
            if name is not None and name in seen:
                line = key_node.start_mark.line + 1
                raise yaml.YAMLError(f"line {line}: the name {name!r} is there twice; leave one of them")
            seen.add(name)
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> Any:
    """What a YAML file holds; ValueError or OSError, in one sentence, if it cannot be read or names something twice."""
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=_NamesOnce)  # noqa: S506 - a safe loader
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from error
