from typing import Literal

ShelfSource = Literal["live", "none", "popular", "published"]

SHELF_SOURCE_VALUES: set[ShelfSource] = {
    "live",
    "none",
    "popular",
    "published",
}


def check_shelf_source(value: str) -> ShelfSource:
    if value in SHELF_SOURCE_VALUES:
        return value
    raise TypeError(f"Unexpected value {value!r}. Expected one of {SHELF_SOURCE_VALUES!r}")
