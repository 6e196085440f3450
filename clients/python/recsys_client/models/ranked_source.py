from typing import Literal

RankedSource = Literal["live", "none", "popular", "published"]

RANKED_SOURCE_VALUES: set[RankedSource] = {
    "live",
    "none",
    "popular",
    "published",
}


def check_ranked_source(value: str) -> RankedSource:
    if value in RANKED_SOURCE_VALUES:
        return value
    raise TypeError(f"Unexpected value {value!r}. Expected one of {RANKED_SOURCE_VALUES!r}")
