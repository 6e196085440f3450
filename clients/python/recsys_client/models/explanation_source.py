from typing import Literal

ExplanationSource = Literal["live", "none", "popular", "published"]

EXPLANATION_SOURCE_VALUES: set[ExplanationSource] = {
    "live",
    "none",
    "popular",
    "published",
}


def check_explanation_source(value: str) -> ExplanationSource:
    if value in EXPLANATION_SOURCE_VALUES:
        return value
    raise TypeError(f"Unexpected value {value!r}. Expected one of {EXPLANATION_SOURCE_VALUES!r}")
