from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.explanation_source import ExplanationSource, check_explanation_source

if TYPE_CHECKING:
    from ..models.recommended_book import RecommendedBook


T = TypeVar("T", bound="Explanation")


@_attrs_define
class Explanation:
    """Why a request was answered as it was: the exposure that was logged.

    Attributes:
        request_id (str):
        user_id (None | str):
        source (ExplanationSource):
        model (str):
        model_version (str):
        items (list[RecommendedBook]):
    """

    request_id: str
    user_id: None | str
    source: ExplanationSource
    model: str
    model_version: str
    items: list[RecommendedBook]
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        request_id = self.request_id

        user_id: None | str
        user_id = self.user_id

        source: str = self.source

        model = self.model

        model_version = self.model_version

        items = []
        for items_item_data in self.items:
            items_item = items_item_data.to_dict()
            items.append(items_item)

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "request_id": request_id,
                "user_id": user_id,
                "source": source,
                "model": model,
                "model_version": model_version,
                "items": items,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.recommended_book import RecommendedBook  # noqa: PLC0415

        d = dict(src_dict)
        request_id = d.pop("request_id")

        def _parse_user_id(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        user_id = _parse_user_id(d.pop("user_id"))

        source = check_explanation_source(d.pop("source"))

        model = d.pop("model")

        model_version = d.pop("model_version")

        items = []
        _items = d.pop("items")
        for items_item_data in _items:
            items_item = RecommendedBook.from_dict(items_item_data)

            items.append(items_item)

        explanation = cls(
            request_id=request_id,
            user_id=user_id,
            source=source,
            model=model,
            model_version=model_version,
            items=items,
        )

        explanation.additional_properties = d
        return explanation

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
