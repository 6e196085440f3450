from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.recommended_source import RecommendedSource, check_recommended_source

if TYPE_CHECKING:
    from ..models.item import Item


T = TypeVar("T", bound="Recommended")


@_attrs_define
class Recommended:
    """A list of books. `source`: what answered (`live`, `published`, `popular`, or `none`).

    Attributes:
        request_id (str):
        source (RecommendedSource):
        model (str):
        model_version (str):
        experiment (None | str):
        variant (None | str):
        items (list[Item]):
    """

    request_id: str
    source: RecommendedSource
    model: str
    model_version: str
    experiment: None | str
    variant: None | str
    items: list[Item]
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        request_id = self.request_id

        source: str = self.source

        model = self.model

        model_version = self.model_version

        experiment: None | str
        experiment = self.experiment

        variant: None | str
        variant = self.variant

        items = []
        for items_item_data in self.items:
            items_item = items_item_data.to_dict()
            items.append(items_item)

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "request_id": request_id,
                "source": source,
                "model": model,
                "model_version": model_version,
                "experiment": experiment,
                "variant": variant,
                "items": items,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.item import Item  # noqa: PLC0415

        d = dict(src_dict)
        request_id = d.pop("request_id")

        source = check_recommended_source(d.pop("source"))

        model = d.pop("model")

        model_version = d.pop("model_version")

        def _parse_experiment(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        experiment = _parse_experiment(d.pop("experiment"))

        def _parse_variant(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        variant = _parse_variant(d.pop("variant"))

        items = []
        _items = d.pop("items")
        for items_item_data in _items:
            items_item = Item.from_dict(items_item_data)

            items.append(items_item)

        recommended = cls(
            request_id=request_id,
            source=source,
            model=model,
            model_version=model_version,
            experiment=experiment,
            variant=variant,
            items=items,
        )

        recommended.additional_properties = d
        return recommended

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
