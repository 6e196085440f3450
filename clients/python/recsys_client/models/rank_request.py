from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, cast

from attrs import define as _attrs_define

from ..types import UNSET, Unset

T = TypeVar("T", bound="RankRequest")


@_attrs_define
class RankRequest:
    """Books to put in order for a reader.

    Attributes:
        user_id (str): An id as the events and marts have it.
        book_ids (list[str]):
        surface (str | Unset): Where the list is shown, such as `home`; it is logged. Default: 'api'.
    """

    user_id: str
    book_ids: list[str]
    surface: str | Unset = "api"

    def to_dict(self) -> dict[str, Any]:
        user_id = self.user_id

        book_ids = self.book_ids

        surface = self.surface

        field_dict: dict[str, Any] = {}

        field_dict.update(
            {
                "user_id": user_id,
                "book_ids": book_ids,
            }
        )
        if surface is not UNSET:
            field_dict["surface"] = surface

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        user_id = d.pop("user_id")

        book_ids = cast(list[str], d.pop("book_ids"))

        surface = d.pop("surface", UNSET)

        rank_request = cls(
            user_id=user_id,
            book_ids=book_ids,
            surface=surface,
        )

        return rank_request
