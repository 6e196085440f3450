"""The attribute endpoints page through everything once and say what is wrong with a request."""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from recsys_platform.common.errors import InputError
from recsys_platform.hub.local import FolderHub
from recsys_platform.simulation.server import attributes_app, running_server
from recsys_platform.sources.attributes import fetch_snapshot, last_fetch, store_fetched
from recsys_platform.sources.rest_client import Endpoint
from tests.support.simulated import Simulated


@pytest.fixture(scope="module")
def client(simulated: Simulated) -> Iterator[httpx.Client]:
    with running_server(simulated.truth_dir) as url, httpx.Client(base_url=url) as client:
        yield client


def test_following_the_links_gives_every_user_once(client: httpx.Client) -> None:
    users, url = [], "/users?per_page=40"
    while url:
        answer = client.get(url)
        users += answer.json()["data"]
        url = answer.links.get("next", {}).get("url", "")
    assert len({user["user_id"] for user in users}) == len(users) == 150
    assert users[0].keys() == {"user_id", "created_at", "country", "language", "tier", "interests", "email"}


def test_counting_the_pages_gives_every_book_once(client: httpx.Client) -> None:
    first = client.get("/books", params={"page": 1, "per_page": 25}).json()
    assert {key: first[key] for key in ("page", "per_page", "total", "total_pages")} == {
        "page": 1, "per_page": 25, "total": 60, "total_pages": 3,
    }  # fmt: skip
    books = [
        book
        for page in (1, 2, 3)
        for book in client.get("/books", params={"page": page, "per_page": 25}).json()["data"]
    ]
    assert len({book["book_id"] for book in books}) == 60
    assert isinstance(books[0]["categories"], list)


def test_a_page_beyond_the_last_is_empty_and_has_no_next(client: httpx.Client) -> None:
    answer = client.get("/books", params={"page": 99})
    assert (answer.status_code, answer.json()["data"]) == (200, [])
    assert "next" not in answer.links


@pytest.mark.parametrize(
    "query", ["page=0", "page=x", "per_page=-1", "per_page=1.5", "per_page=999999", "page=", "page=%C2%B2"]
)
def test_a_bad_page_is_answered_with_400_and_a_reason(client: httpx.Client, query: str) -> None:
    answer = client.get(f"/users?{query}")
    assert answer.status_code == 400
    assert query.split("=")[0] in answer.json()["error"]


def test_other_paths_are_not_found(client: httpx.Client) -> None:
    assert client.get("/truth").status_code == 404


def test_without_a_world_there_is_nothing_to_serve(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"user_attributes\.parquet"):
        attributes_app(tmp_path)


def test_the_port_is_closed_afterwards(simulated: Simulated) -> None:
    with running_server(simulated.truth_dir) as url:
        assert httpx.get(f"{url}/users").status_code == 200
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/users")


def test_a_page_that_the_client_knows_is_not_sent_again(client: httpx.Client) -> None:
    first = client.get("/books?page=1&per_page=25")
    other = client.get("/books?page=2&per_page=25")
    again = client.get("/books?page=1&per_page=25", headers={"If-None-Match": f'"x", W/{first.headers["etag"]}'})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"] != other.headers["etag"]
    assert again.links == first.links
    assert client.get("/books?page=2&per_page=25", headers={"If-None-Match": first.headers["etag"]}).status_code == 200


def test_a_second_fetch_of_an_unchanged_world_transfers_no_records(simulated: Simulated, tmp_path: Path) -> None:
    hub = FolderHub(tmp_path)
    with running_server(simulated.truth_dir) as url:
        endpoint = Endpoint(f"{url}/users", "user_id", per_page=40)
        first = fetch_snapshot(endpoint, last_fetch(hub, "user_attributes", endpoint))
        store_fetched(hub, "user_attributes", dt.date(2026, 11, 20), endpoint, first)
        again = fetch_snapshot(endpoint, last_fetch(hub, "user_attributes", endpoint))
    assert again.unchanged
    assert again.records == first.records
    assert (again.bytes_fetched, again.bytes_saved) == (0, first.bytes_fetched)
