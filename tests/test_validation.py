"""What is wrong in a file is said with its place and, unless it may be a secret, its value."""

from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field, ValidationError

from recsys_platform.common.validation import first_problem


class Rule(BaseModel, extra="forbid"):
    share: Annotated[float, Field(le=1)]
    names: list[str] = []


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"share": 1.5}, "share: input should be less than or equal to 1, not 1.5"),
        ({"share": "half"}, "share: input should be a valid number, unable to parse string as a number, not 'half'"),
        ({"share": 1, "names": [3]}, "names.0: input should be a valid string, not 3"),
        ({}, "share: field required"),
        ({"share": 1, "secret": "abc"}, "secret: extra inputs are not permitted"),
    ],
)
def test_the_first_problem_has_its_place_and_its_value(content: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError) as error:
        Rule.model_validate(content)
    assert first_problem(error.value) == words


def test_a_value_that_may_be_a_secret_is_not_shown() -> None:
    with pytest.raises(ValidationError) as error:
        Rule.model_validate({"share": "a secret"})
    assert "secret" not in first_problem(error.value, shows_value=False)
