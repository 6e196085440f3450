from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

T = TypeVar("T", bound="RecommendedBook")


@_attrs_define
class RecommendedBook:
    """A book of an answer; `propensity` is the probability of the book at its rank.

    Attributes:
        rank (int):
        book_id (str):
        score (float | None):
        reason (str):
        because_book_id (None | str):
        propensity (float):
    """

    rank: int
    book_id: str
    score: float | None
    reason: str
    because_book_id: None | str
    propensity: float
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        rank = self.rank

        book_id = self.book_id

        score: float | None
        score = self.score

        reason = self.reason

        because_book_id: None | str
        because_book_id = self.because_book_id

        propensity = self.propensity

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "rank": rank,
                "book_id": book_id,
                "score": score,
                "reason": reason,
                "because_book_id": because_book_id,
                "propensity": propensity,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        rank = d.pop("rank")

        book_id = d.pop("book_id")

        def _parse_score(data: object) -> float | None:
            if data is None:
                return data
            return cast(float | None, data)

        score = _parse_score(d.pop("score"))

        reason = d.pop("reason")

        def _parse_because_book_id(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        because_book_id = _parse_because_book_id(d.pop("because_book_id"))

        propensity = d.pop("propensity")

        recommended_book = cls(
            rank=rank,
            book_id=book_id,
            score=score,
            reason=reason,
            because_book_id=because_book_id,
            propensity=propensity,
        )

        recommended_book.additional_properties = d
        return recommended_book

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
