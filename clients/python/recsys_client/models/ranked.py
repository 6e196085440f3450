from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.ranked_source import RankedSource, check_ranked_source

if TYPE_CHECKING:
    from ..models.item import Item


T = TypeVar("T", bound="Ranked")


@_attrs_define
class Ranked:
    """The given books in order, best first; `unknown` are those that the model does not know.

    Attributes:
        request_id (str):
        source (RankedSource):
        model (str):
        model_version (str):
        items (list[Item]):
        unknown (list[str]):
    """

    request_id: str
    source: RankedSource
    model: str
    model_version: str
    items: list[Item]
    unknown: list[str]
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        request_id = self.request_id

        source: str = self.source

        model = self.model

        model_version = self.model_version

        items = []
        for items_item_data in self.items:
            items_item = items_item_data.to_dict()
            items.append(items_item)

        unknown = self.unknown

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "request_id": request_id,
                "source": source,
                "model": model,
                "model_version": model_version,
                "items": items,
                "unknown": unknown,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.item import Item  # noqa: PLC0415

        d = dict(src_dict)
        request_id = d.pop("request_id")

        source = check_ranked_source(d.pop("source"))

        model = d.pop("model")

        model_version = d.pop("model_version")

        items = []
        _items = d.pop("items")
        for items_item_data in _items:
            items_item = Item.from_dict(items_item_data)

            items.append(items_item)

        unknown = cast(list[str], d.pop("unknown"))

        ranked = cls(
            request_id=request_id,
            source=source,
            model=model,
            model_version=model_version,
            items=items,
            unknown=unknown,
        )

        ranked.additional_properties = d
        return ranked

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
