from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

if TYPE_CHECKING:
    from ..models.shelf import Shelf


T = TypeVar("T", bound="Home")


@_attrs_define
class Home:
    """The shelves of a home page; no book is on two of them.

    Attributes:
        request_id (str):
        shelves (list[Shelf]):
    """

    request_id: str
    shelves: list[Shelf]
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        request_id = self.request_id

        shelves = []
        for shelves_item_data in self.shelves:
            shelves_item = shelves_item_data.to_dict()
            shelves.append(shelves_item)

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "request_id": request_id,
                "shelves": shelves,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.shelf import Shelf  # noqa: PLC0415

        d = dict(src_dict)
        request_id = d.pop("request_id")

        shelves = []
        _shelves = d.pop("shelves")
        for shelves_item_data in _shelves:
            shelves_item = Shelf.from_dict(shelves_item_data)

            shelves.append(shelves_item)

        home = cls(
            request_id=request_id,
            shelves=shelves,
        )

        home.additional_properties = d
        return home

    @property
    def additional_keys(self) -> list[str]:
        return list(self.additional_properties.keys())

    def __getitem__(self, key: str) -> Any:
        return self.additional_properties[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self.additional_properties[key] = value

    def __delitem__(self, key: str) -> None:
        del self.additional_properties[key]

    def __contains__(self, key: str) -> bool:
        return key in self.additional_properties
