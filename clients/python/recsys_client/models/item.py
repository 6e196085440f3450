from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

if TYPE_CHECKING:
    from ..models.book import Book


T = TypeVar("T", bound="Item")


@_attrs_define
class Item:
    """A recommended book. `score`: comparable within the list only; null for a promoted book.

    Attributes:
        rank (int):
        book_id (str):
        score (float | None):
        reason (str):
        because_book_id (None | str):
        request_id (str):
        book (Book): Attributes of a book; a catalog may have less.
    """

    rank: int
    book_id: str
    score: float | None
    reason: str
    because_book_id: None | str
    request_id: str
    book: Book
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        rank = self.rank

        book_id = self.book_id

        score: float | None
        score = self.score

        reason = self.reason

        because_book_id: None | str
        because_book_id = self.because_book_id

        request_id = self.request_id

        book = self.book.to_dict()

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "rank": rank,
                "book_id": book_id,
                "score": score,
                "reason": reason,
                "because_book_id": because_book_id,
                "request_id": request_id,
                "book": book,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.book import Book  # noqa: PLC0415

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

        request_id = d.pop("request_id")

        book = Book.from_dict(d.pop("book"))

        item = cls(
            rank=rank,
            book_id=book_id,
            score=score,
            reason=reason,
            because_book_id=because_book_id,
            request_id=request_id,
            book=book,
        )

        item.additional_properties = d
        return item

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
