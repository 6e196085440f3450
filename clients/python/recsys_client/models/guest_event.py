from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, cast

from attrs import define as _attrs_define

from ..types import UNSET, Unset

T = TypeVar("T", bound="GuestEvent")


@_attrs_define
class GuestEvent:
    """What a guest did with a book.

    Attributes:
        event (str):
        book_id (str): An id as the events and marts have it.
        rating (float | None | Unset):
    """

    event: str
    book_id: str
    rating: float | None | Unset = UNSET

    def to_dict(self) -> dict[str, Any]:
        event = self.event

        book_id = self.book_id

        rating: float | None | Unset
        if isinstance(self.rating, Unset):
            rating = UNSET
        else:
            rating = self.rating

        field_dict: dict[str, Any] = {}

        field_dict.update(
            {
                "event": event,
                "book_id": book_id,
            }
        )
        if rating is not UNSET:
            field_dict["rating"] = rating

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        event = d.pop("event")

        book_id = d.pop("book_id")

        def _parse_rating(data: object) -> float | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(float | None | Unset, data)

        rating = _parse_rating(d.pop("rating", UNSET))

        guest_event = cls(
            event=event,
            book_id=book_id,
            rating=rating,
        )

        return guest_event
