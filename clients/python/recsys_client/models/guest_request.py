from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from attrs import define as _attrs_define

from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.guest_event import GuestEvent


T = TypeVar("T", bound="GuestRequest")


@_attrs_define
class GuestRequest:
    """A reader without an account: recent events, oldest first, and what the app knows.

    Attributes:
        anonymous_id (str | Unset): The tracker's id of the device, if known. Default: ''.
        events (list[GuestEvent] | Unset):
        k (int | Unset): How many books. Default: 20.
        offset (int | Unset): How many books to skip; past the end the list is empty. Default: 0.
        surface (str | Unset): Where the list is shown, such as `home`; it is logged. Default: 'api'.
        language (str | Unset): Only books in a language such as `en`; by default in any. Default: ''.
        interests (list[str] | Unset):
        categories (list[str] | Unset):
        exclude (list[str] | Unset):
    """

    anonymous_id: str | Unset = ""
    events: list[GuestEvent] | Unset = UNSET
    k: int | Unset = 20
    offset: int | Unset = 0
    surface: str | Unset = "api"
    language: str | Unset = ""
    interests: list[str] | Unset = UNSET
    categories: list[str] | Unset = UNSET
    exclude: list[str] | Unset = UNSET

    def to_dict(self) -> dict[str, Any]:
        anonymous_id = self.anonymous_id

        events: list[dict[str, Any]] | Unset = UNSET
        if not isinstance(self.events, Unset):
            events = []
            for events_item_data in self.events:
                events_item = events_item_data.to_dict()
                events.append(events_item)

        k = self.k

        offset = self.offset

        surface = self.surface

        language = self.language

        interests: list[str] | Unset = UNSET
        if not isinstance(self.interests, Unset):
            interests = self.interests

        categories: list[str] | Unset = UNSET
        if not isinstance(self.categories, Unset):
            categories = self.categories

        exclude: list[str] | Unset = UNSET
        if not isinstance(self.exclude, Unset):
            exclude = self.exclude

        field_dict: dict[str, Any] = {}

        field_dict.update({})
        if anonymous_id is not UNSET:
            field_dict["anonymous_id"] = anonymous_id
        if events is not UNSET:
            field_dict["events"] = events
        if k is not UNSET:
            field_dict["k"] = k
        if offset is not UNSET:
            field_dict["offset"] = offset
        if surface is not UNSET:
            field_dict["surface"] = surface
        if language is not UNSET:
            field_dict["language"] = language
        if interests is not UNSET:
            field_dict["interests"] = interests
        if categories is not UNSET:
            field_dict["categories"] = categories
        if exclude is not UNSET:
            field_dict["exclude"] = exclude

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.guest_event import GuestEvent  # noqa: PLC0415

        d = dict(src_dict)
        anonymous_id = d.pop("anonymous_id", UNSET)

        _events = d.pop("events", UNSET)
        events: list[GuestEvent] | Unset = UNSET
        if _events is not UNSET:
            events = []
            for events_item_data in _events:
                events_item = GuestEvent.from_dict(events_item_data)

                events.append(events_item)

        k = d.pop("k", UNSET)

        offset = d.pop("offset", UNSET)

        surface = d.pop("surface", UNSET)

        language = d.pop("language", UNSET)

        interests = cast(list[str], d.pop("interests", UNSET))

        categories = cast(list[str], d.pop("categories", UNSET))

        exclude = cast(list[str], d.pop("exclude", UNSET))

        guest_request = cls(
            anonymous_id=anonymous_id,
            events=events,
            k=k,
            offset=offset,
            surface=surface,
            language=language,
            interests=interests,
            categories=categories,
            exclude=exclude,
        )

        return guest_request
