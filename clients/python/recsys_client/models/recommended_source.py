from typing import Literal

RecommendedSource = Literal["live", "none", "popular", "published"]

RECOMMENDED_SOURCE_VALUES: set[RecommendedSource] = {
    "live",
    "none",
    "popular",
    "published",
}


def check_recommended_source(value: str) -> RecommendedSource:
    if value in RECOMMENDED_SOURCE_VALUES:
        return value
    raise TypeError(f"Unexpected value {value!r}. Expected one of {RECOMMENDED_SOURCE_VALUES!r}")
