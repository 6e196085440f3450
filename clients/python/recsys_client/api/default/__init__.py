"""The API as one class of methods, and the same for asyncio."""

from typing import cast

from ...client import AuthenticatedClient
from ...models.event import Event
from ...models.event_batch import EventBatch
from ...models.event_verdicts import EventVerdicts
from ...models.explanation import Explanation
from ...models.guest_request import GuestRequest
from ...models.health import Health
from ...models.home import Home
from ...models.rank_request import RankRequest
from ...models.ranked import Ranked
from ...models.recommended import Recommended
from ...types import UNSET, Unset
from . import explanation as _explanation
from . import guest_recommendations as _guest_recommendations
from . import healthz as _healthz
from . import home as _home
from . import metrics as _metrics
from . import popular as _popular
from . import post_events as _post_events
from . import rank as _rank
from . import readyz as _readyz
from . import recommendations as _recommendations
from . import similar as _similar


class Recsys(AuthenticatedClient):
    """The recommendation API: `Recsys("https://api.example.com", token=KEY)`. Each endpoint is a method."""

    def recommendations(
        self,
        user_id: str,
        *,
        k: int | Unset = 20,
        offset: int | Unset = 0,
        surface: str | Unset = "api",
        language: str | Unset = "",
        categories: str | Unset = "",
        exclude: str | Unset = "",
    ) -> Recommended:
        """Recommendations for a reader; 304 if the list is the one of `If-None-Match`.

        Args:
            user_id (str): An id as the events and marts have it.
            k (int | Unset): How many books. Default: 20.
            offset (int | Unset): How many books to skip; past the end the list is empty. Default: 0.
            surface (str | Unset): Where the list is shown, such as `home`; it is logged. Default: 'api'.
            language (str | Unset): Only books in a language such as `en`; by default in any. Default: ''.
            categories (str | Unset): Categories, separated by commas. Default: ''.
            exclude (str | Unset): Book ids to leave out, separated by commas. Default: ''.

        Raises:
            ApiError: The API answered with a problem; it has the status and what is wrong.
            httpx.HTTPError: There was no answer.
        """
        _request = _recommendations.request_of(
            user_id=user_id,
            k=k,
            offset=offset,
            surface=surface,
            language=language,
            categories=categories,
            exclude=exclude,
        )
        return _recommendations.answer_of(self.get_httpx_client().request(**_request))

    def guest_recommendations(
        self,
        *,
        body: GuestRequest,
    ) -> Recommended:
        """Recommendations for a reader without an account, by the events of the request and those of the device.

        Args:
            body (GuestRequest): A reader without an account: recent events, oldest first, and what the app knows.

        Raises:
            ApiError: The API answered with a problem; it has the status and what is wrong.
            httpx.HTTPError: There was no answer.
        """
        _request = _guest_recommendations.request_of(
            body=body,
        )
        return _guest_recommendations.answer_of(self.get_httpx_client().request(**_request))

    def home(
        self,
        user_id: str,
        *,
        k: int | Unset = 10,
        language: str | Unset = "",
    ) -> Home:
        """Shelves of one home page by the file of shelves; no book is on two of them.

        Args:
            user_id (str): An id as the events and marts have it.
            k (int | Unset): How many books. Default: 10.
            language (str | Unset): Only books in a language such as `en`; by default in any. Default: ''.

        Raises:
            ApiError: The API answered with a problem; it has the status and what is wrong.
            httpx.HTTPError: There was no answer.
        """
        _request = _home.request_of(
            user_id=user_id,
            k=k,
            language=language,
        )
        return _home.answer_of(self.get_httpx_client().request(**_request))

    def rank(
        self,
        *,
        body: RankRequest,
    ) -> Ranked:
        """Put given books in order for a reader.

        Args:
            body (RankRequest): Books to put in order for a reader.

        Raises:
            ApiError: The API answered with a problem; it has the status and what is wrong.
            httpx.HTTPError: There was no answer.
        """
        _request = _rank.request_of(
            body=body,
        )
        return _rank.answer_of(self.get_httpx_client().request(**_request))

    def similar(
        self,
        book_id: str,
        *,
        k: int | Unset = 20,
        offset: int | Unset = 0,
        surface: str | Unset = "api",
        language: str | Unset = "",
        categories: str | Unset = "",
        exclude: str | Unset = "",
        user_id: str | Unset = "",
        anonymous_id: str | Unset = "",
    ) -> Recommended:
        """Books that are similar to a book; for a reader or guest, if one is named or the token is a reader's.

        Args:
            book_id (str): An id as the events and marts have it.
            k (int | Unset): How many books. Default: 20.
            offset (int | Unset): How many books to skip; past the end the list is empty. Default: 0.
            surface (str | Unset): Where the list is shown, such as `home`; it is logged. Default: 'api'.
            language (str | Unset): Only books in a language such as `en`; by default in any. Default: ''.
            categories (str | Unset): Categories, separated by commas. Default: ''.
            exclude (str | Unset): Book ids to leave out, separated by commas. Default: ''.
            user_id (str | Unset): The reader who sees the list: it leaves out finished books, and clicks join it. Default: ''.
            anonymous_id (str | Unset): The tracker's id of the device of a guest who sees it. Default: ''.

        Raises:
            ApiError: The API answered with a problem; it has the status and what is wrong.
            httpx.HTTPError: There was no answer.
        """
        _request = _similar.request_of(
            book_id=book_id,
            k=k,
            offset=offset,
            surface=surface,
            language=language,
            categories=categories,
            exclude=exclude,
            user_id=user_id,
            anonymous_id=anonymous_id,
        )
        return _similar.answer_of(self.get_httpx_client().request(**_request))

    def popular(
        self,
        *,
        k: int | Unset = 20,
        offset: int | Unset = 0,
        surface: str | Unset = "api",
        language: str | Unset = "",
        categories: str | Unset = "",
        exclude: str | Unset = "",
        user_id: str | Unset = "",
        anonymous_id: str | Unset = "",
    ) -> Recommended:
        """Popular books of a language, or of all; for a reader or guest, if one is named or the token is a reader's.

        Args:
            k (int | Unset): How many books. Default: 20.
            offset (int | Unset): How many books to skip; past the end the list is empty. Default: 0.
            surface (str | Unset): Where the list is shown, such as `home`; it is logged. Default: 'api'.
            language (str | Unset): Only books in a language such as `en`; by default in any. Default: ''.
            categories (str | Unset): Categories, separated by commas. Default: ''.
            exclude (str | Unset): Book ids to leave out, separated by commas. Default: ''.
            user_id (str | Unset): The reader who sees the list: it leaves out finished books, and clicks join it. Default: ''.
            anonymous_id (str | Unset): The tracker's id of the device of a guest who sees it. Default: ''.

        Raises:
            ApiError: The API answered with a problem; it has the status and what is wrong.
            httpx.HTTPError: There was no answer.
        """
        _request = _popular.request_of(
            k=k,
            offset=offset,
            surface=surface,
            language=language,
            categories=categories,
            exclude=exclude,
            user_id=user_id,
            anonymous_id=anonymous_id,
        )
        return _popular.answer_of(self.get_httpx_client().request(**_request))

    def post_events(
        self,
        *,
        body: Event | EventBatch,
    ) -> EventVerdicts:
        """Take events of Segment's format, one or a batch; each is answered.

        Args:
            body (Event | EventBatch):

        Raises:
            ApiError: The API answered with a problem; it has the status and what is wrong.
            httpx.HTTPError: There was no answer.
        """
        _request = _post_events.request_of(
            body=body,
        )
        return _post_events.answer_of(self.get_httpx_client().request(**_request))

    def explanation(
        self,
        request_id: str,
    ) -> Explanation:
        """The exposure of a request, from the newest ones of this process.

        Args:
            request_id (str): An id as the events and marts have it.

        Raises:
            ApiError: The API answered with a problem; it has the status and what is wrong.
            httpx.HTTPError: There was no answer.
        """
        _request = _explanation.request_of(
            request_id=request_id,
        )
        return _explanation.answer_of(self.get_httpx_client().request(**_request))

    def healthz(
        self,
    ) -> Health:
        """The process is alive.

        Raises:
            ApiError: The API answered with a problem; it has the status and what is wrong.
            httpx.HTTPError: There was no answer.
        """
        _request = _healthz.request_of()
        return _healthz.answer_of(self.get_httpx_client().request(**_request))

    def readyz(
        self,
    ) -> Health:
        """Whether lists can be answered, and from what.

        Raises:
            ApiError: The API answered with a problem; it has the status and what is wrong.
            httpx.HTTPError: There was no answer.
        """
        _request = _readyz.request_of()
        return _readyz.answer_of(self.get_httpx_client().request(**_request))

    def metrics(
        self,
    ) -> str:
        """Metrics for Prometheus.

        Raises:
            ApiError: The API answered with a problem; it has the status and what is wrong.
            httpx.HTTPError: There was no answer.
        """
        _request = _metrics.request_of()
        return _metrics.answer_of(self.get_httpx_client().request(**_request))


class AsyncRecsys(AuthenticatedClient):
    """The recommendation API for asyncio."""

    async def recommendations(
        self,
        user_id: str,
        *,
        k: int | Unset = 20,
        offset: int | Unset = 0,
        surface: str | Unset = "api",
        language: str | Unset = "",
        categories: str | Unset = "",
        exclude: str | Unset = "",
    ) -> Recommended:
        """Recommendations for a reader: as `Recsys.recommendations`."""
        _request = _recommendations.request_of(
            user_id=user_id,
            k=k,
            offset=offset,
            surface=surface,
            language=language,
            categories=categories,
            exclude=exclude,
        )
        return _recommendations.answer_of(await self.get_async_httpx_client().request(**_request))

    async def guest_recommendations(
        self,
        *,
        body: GuestRequest,
    ) -> Recommended:
        """Recommendations for a guest: as `Recsys.guest_recommendations`."""
        _request = _guest_recommendations.request_of(
            body=body,
        )
        return _guest_recommendations.answer_of(await self.get_async_httpx_client().request(**_request))

    async def home(
        self,
        user_id: str,
        *,
        k: int | Unset = 10,
        language: str | Unset = "",
    ) -> Home:
        """Shelves of a home page: as `Recsys.home`."""
        _request = _home.request_of(
            user_id=user_id,
            k=k,
            language=language,
        )
        return _home.answer_of(await self.get_async_httpx_client().request(**_request))

    async def rank(
        self,
        *,
        body: RankRequest,
    ) -> Ranked:
        """Put books in order for a reader: as `Recsys.rank`."""
        _request = _rank.request_of(
            body=body,
        )
        return _rank.answer_of(await self.get_async_httpx_client().request(**_request))

    async def similar(
        self,
        book_id: str,
        *,
        k: int | Unset = 20,
        offset: int | Unset = 0,
        surface: str | Unset = "api",
        language: str | Unset = "",
        categories: str | Unset = "",
        exclude: str | Unset = "",
        user_id: str | Unset = "",
        anonymous_id: str | Unset = "",
    ) -> Recommended:
        """Books similar to a book: as `Recsys.similar`."""
        _request = _similar.request_of(
            book_id=book_id,
            k=k,
            offset=offset,
            surface=surface,
            language=language,
            categories=categories,
            exclude=exclude,
            user_id=user_id,
            anonymous_id=anonymous_id,
        )
        return _similar.answer_of(await self.get_async_httpx_client().request(**_request))

    async def popular(
        self,
        *,
        k: int | Unset = 20,
        offset: int | Unset = 0,
        surface: str | Unset = "api",
        language: str | Unset = "",
        categories: str | Unset = "",
        exclude: str | Unset = "",
        user_id: str | Unset = "",
        anonymous_id: str | Unset = "",
    ) -> Recommended:
        """Popular books: as `Recsys.popular`."""
        _request = _popular.request_of(
            k=k,
            offset=offset,
            surface=surface,
            language=language,
            categories=categories,
            exclude=exclude,
            user_id=user_id,
            anonymous_id=anonymous_id,
        )
        return _popular.answer_of(await self.get_async_httpx_client().request(**_request))

    async def post_events(
        self,
        *,
        body: Event | EventBatch,
    ) -> EventVerdicts:
        """Post events: as `Recsys.post_events`."""
        _request = _post_events.request_of(
            body=body,
        )
        return _post_events.answer_of(await self.get_async_httpx_client().request(**_request))

    async def explanation(
        self,
        request_id: str,
    ) -> Explanation:
        """Why a request was answered as it was: as `Recsys.explanation`."""
        _request = _explanation.request_of(
            request_id=request_id,
        )
        return _explanation.answer_of(await self.get_async_httpx_client().request(**_request))

    async def healthz(
        self,
    ) -> Health:
        """The process is alive: as `Recsys.healthz`."""
        _request = _healthz.request_of()
        return _healthz.answer_of(await self.get_async_httpx_client().request(**_request))

    async def readyz(
        self,
    ) -> Health:
        """Whether lists can be answered: as `Recsys.readyz`."""
        _request = _readyz.request_of()
        return _readyz.answer_of(await self.get_async_httpx_client().request(**_request))

    async def metrics(
        self,
    ) -> str:
        """Metrics for Prometheus: as `Recsys.metrics`."""
        _request = _metrics.request_of()
        return _metrics.answer_of(await self.get_async_httpx_client().request(**_request))
