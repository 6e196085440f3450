"""A change of a template is seen in review."""

from collections.abc import Mapping
from typing import Any

from infra.tests.template_summary import FILE, summary


def test_templates_are_those_of_the_summary_that_was_reviewed(every_template: Mapping[str, Mapping[str, Any]]) -> None:
    """After a change on purpose: `python -m infra.tests.template_summary`, and look at what it changed."""
    assert summary(every_template).splitlines() == FILE.read_text(encoding="utf-8").splitlines()


def test_a_changed_value_changes_the_line_of_its_resource_and_the_digest_of_its_stack() -> None:
    def stacks(count: int) -> dict[str, Any]:
        service = {
            "Type": "AWS::ECS::Service",
            "Properties": {"DesiredCount": count, "Tags": ["a tag"], "Name": "n" * 60},
        }
        return {"prod-medium": {"serving": {"Resources": {"Gateway": service}}}}

    first, second = (summary(stacks(count)).splitlines() for count in (2, 3))
    assert first[0].startswith("serving ECS::Service Gateway DesiredCount=2 Name=#")
    assert second[0] == first[0].replace("DesiredCount=2", "DesiredCount=3")
    assert first[1].startswith("prod-medium serving ")
    assert first[1] != second[1]
