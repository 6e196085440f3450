"""A snapshot is complete or there is none: tried against a real server that misbehaves."""

import datetime as dt
import gzip
import itertools
import json
from dataclasses import replace

import pytest

from recsys_platform.common.errors import AttributesError
from recsys_platform.hub.layout import attributes_key
from recsys_platform.sources.attributes import fetch_snapshot, last_fetch, store_fetched, store_snapshot, validators_key
from recsys_platform.sources.rest_client import Endpoint, url_digest, with_own_query, without_own_query
from tests.support.rest_server import BOOKS, Answer, book_page

DAY = dt.date(2026, 11, 20)
NEXT_DAY = dt.date(2026, 11, 21)


def plain(asked):
    return Answer(book_page(asked.page))


def test_all_pages_are_fetched_by_number(serve):
    served = serve(plain)
    assert fetch_snapshot(served.endpoint).records == BOOKS
    assert [each.path for each in served.asked] == [f"/books?page={n}&per_page=2" for n in (1, 2, 3)]


def test_an_empty_endpoint_is_no_snapshot(serve):
    served = serve(lambda asked: Answer(book_page(1, books=[])))
    with pytest.raises(AttributesError, match="has no records: nothing was stored"):
        fetch_snapshot(served.endpoint)


def test_an_endpoint_that_dies_half_way_gives_no_part_of_a_snapshot(serve):
    served = serve(lambda asked: plain(asked) if asked.page < 3 else Answer(status=500))
    with pytest.raises(AttributesError, match="answered 500 after 2 tries"):
        fetch_snapshot(served.endpoint)
    assert served.pages == [1, 2, 3, 3]


def test_a_partial_snapshot_is_refused(serve):
    served = serve(lambda asked: Answer(book_page(asked.page, total=6)))
    with pytest.raises(AttributesError, match="promised 6 records and delivered 5, the last of 3 times: nothing was"):
        fetch_snapshot(served.endpoint)


def test_a_total_that_changes_while_paging_starts_over(serve):
    more = [*BOOKS, {"book_id": "new"}]
    requests = itertools.count(1)
    served = serve(lambda asked: Answer(book_page(asked.page, books=BOOKS if next(requests) == 1 else more)))
    assert fetch_snapshot(served.endpoint).records == more
    assert served.pages == [1, 2, 1, 2, 3]


def test_a_total_that_never_rests_is_given_up(serve):
    requests = itertools.count(5)
    served = serve(lambda asked: Answer(book_page(asked.page, total=next(requests))))
    with pytest.raises(AttributesError, match="promised 9 records on its first page and 10 on page 2, the last of 3"):
        fetch_snapshot(served.endpoint)
    assert served.pages == [1, 2] * 3


def test_a_book_that_moves_to_another_page_while_paging_starts_over(serve):
    moved = [BOOKS[4], *BOOKS[:4]]  # b4 jumps to the front between the pages: b1 comes twice, b4 never
    requests = itertools.count(1)
    served = serve(lambda asked: Answer(book_page(asked.page, books=BOOKS if next(requests) == 1 else moved)))
    assert fetch_snapshot(served.endpoint).records == moved
    assert served.pages == [1, 2, 1, 2, 3]


def test_a_page_that_repeats_is_told(serve):
    served = serve(lambda asked: Answer(book_page(min(asked.page, 2))))
    with pytest.raises(AttributesError, match="delivered book_id b2 twice, again on page 3, the last of 3 times"):
        fetch_snapshot(served.endpoint)


def test_a_server_that_ignores_the_page_number_is_told(serve):
    served = serve(lambda asked: Answer(book_page(1)))
    with pytest.raises(AttributesError, match="delivered book_id b0 twice, again on page 2"):
        fetch_snapshot(served.endpoint)


def test_links_in_a_circle_that_look_new_each_time_are_told(serve):
    def answer(asked):
        turn = int(asked.query.get("turn", 0)) + 1
        return Answer(book_page(1)).having(Link=f'</books?page=1&turn={turn}>; rel="next"')

    with pytest.raises(AttributesError, match="delivered book_id b0 twice"):
        fetch_snapshot(serve(answer).endpoint)


def test_a_server_that_never_ends_is_left_once_it_breaks_its_promise(serve):
    def answer(asked):
        new = [{"book_id": f"b{asked.page}-{n}"} for n in range(2)]
        link = f'</books?page={asked.page + 1}>; rel="next"'
        return Answer(book_page(1, data=new)).having(Link=link)

    served = serve(answer)
    with pytest.raises(AttributesError, match="promised 5 records and delivered 6"):
        fetch_snapshot(served.endpoint)
    assert len(served.asked) == 3 * 3


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ({"title": "?"}, "a record without book_id"),
        ({"book_id": ""}, "a record without book_id"),
        ({"book_id": None}, "a record without book_id"),
        ({"book_id": True}, "a record whose book_id is true, neither text nor a whole number"),
        ({"book_id": {"x": 1}}, r"a record whose book_id is \{.x.: 1\}, neither text nor a whole number"),
        (
            {"book_id": 1.0},
            r"a record whose book_id is 1\.0, a number with a decimal point; ids are text or whole numbers",
        ),
        ({"book_id": "undefined"}, "a record whose book_id is 'undefined', a placeholder"),
        ({"book_id": " NULL "}, "a record whose book_id is ' NULL ', a placeholder"),
        ("b9", "a record that is not an object"),
        (None, "a record that is not an object"),
        ([], "a record that is not an object"),
    ],
)
def test_a_record_that_is_no_entity_is_named_by_its_place(serve, record, said):
    books = [*BOOKS[:3], record]
    served = serve(lambda asked: Answer(book_page(asked.page, books=books)))
    with pytest.raises(AttributesError, match=rf"{said} \(page 2, record 2\): nothing was stored"):
        fetch_snapshot(served.endpoint)


def test_a_number_and_the_same_number_as_text_are_one_id(serve):
    served = serve(lambda asked: Answer(book_page(asked.page, books=[{"book_id": 7}, {"book_id": "7"}])))
    with pytest.raises(AttributesError, match="delivered book_id 7 twice"):
        fetch_snapshot(served.endpoint)


def test_a_snapshot_is_stored_as_gzipped_json_lines(hub):
    store_snapshot(hub, "book_attributes", DAY, BOOKS)
    lines = gzip.decompress(hub.get("book_attributes/dt=2026-11-20/part-00000.json.gz")).decode().split("\n")[:-1]
    assert [json.loads(line) for line in lines] == BOOKS


def test_half_a_character_does_not_stop_a_snapshot(hub):
    store_snapshot(hub, "book_attributes", DAY, [{"book_id": "b1", "title": "\ud83d"}])
    assert b'"title": "?"' in gzip.decompress(hub.get(attributes_key("book_attributes", DAY)))


class Shelf:
    """An endpoint with an ETag a page, as many are: the page's content decides."""

    def __init__(self, *, linked: bool = False, link_in_304: bool = True):
        self.books, self.linked, self.link_in_304, self.sent = list(BOOKS), linked, link_in_304, []

    def __call__(self, asked):
        page = book_page(asked.page, books=self.books, total_pages=None if self.linked else 3)
        headers = {"ETag": f'W/"{abs(hash(json.dumps(page)))}"'}
        known = asked.headers.get("if-none-match") == headers["ETag"]
        if self.linked and asked.page < 3 and (self.link_in_304 or not known):
            headers["Link"] = f'</books?page={asked.page + 1}&per_page=2&api_key=sesame>; rel="next"'
        self.sent.append(304 if known else 200)
        return Answer(b"", 304, headers) if known else Answer(page, 200, headers)


def fetch_and_store(hub, endpoint, day):
    snapshot = fetch_snapshot(endpoint, last_fetch(hub, "book_attributes", endpoint))
    store_fetched(hub, "book_attributes", day, endpoint, snapshot)
    return snapshot


@pytest.mark.parametrize("shelf", [Shelf(), Shelf(linked=True), Shelf(linked=True, link_in_304=False)])
def test_an_unchanged_endpoint_sends_no_page_and_still_gives_a_whole_snapshot(hub, serve, shelf):
    served = serve(shelf)
    first = fetch_and_store(hub, served.endpoint, DAY)
    assert (first.unchanged, first.bytes_saved) == (False, 0)
    again = fetch_and_store(hub, served.endpoint, NEXT_DAY)
    assert shelf.sent == [200] * 3 + [304] * 3
    assert (again.unchanged, again.bytes_fetched, again.bytes_saved) == (True, 0, first.bytes_fetched)
    assert again.bytes_saved == sum(len(json.dumps(page)) for page in map(shelf_page(shelf), (1, 2, 3)))
    assert hub.get(attributes_key("book_attributes", NEXT_DAY)) == hub.get(attributes_key("book_attributes", DAY))


def shelf_page(shelf):
    return lambda number: book_page(number, books=shelf.books, total_pages=None if shelf.linked else 3)


def test_a_change_on_the_last_page_is_seen_though_the_first_is_unchanged(hub, serve):
    shelf = Shelf()
    served = serve(shelf)
    fetch_and_store(hub, served.endpoint, DAY)
    shelf.books[4] = {"book_id": "b4", "title": "renamed"}
    again = fetch_and_store(hub, served.endpoint, NEXT_DAY)
    assert shelf.sent[3:] == [304, 304, 200]
    assert again.records == shelf.books
    assert not again.unchanged


def test_pages_that_contradict_the_remembered_ones_are_all_fetched_anew(hub, serve):
    """A server whose ETag does not cover the total answers 304 for pages that say another total."""
    shelf, stale = Shelf(), {"on": False}

    def answer(asked):
        if stale["on"] and asked.page == 1 and "if-none-match" in asked.headers:
            return Answer(b"", 304)
        return shelf(asked)

    served = serve(answer)
    fetch_and_store(hub, served.endpoint, DAY)
    stale["on"] = True
    shelf.books.append({"book_id": "b5"})
    assert fetch_and_store(hub, served.endpoint, NEXT_DAY).records == shelf.books


def test_a_snapshot_that_was_replaced_by_hand_is_not_taken_for_the_fetched_one(hub, serve):
    served = serve(Shelf())
    fetch_and_store(hub, served.endpoint, DAY)
    store_snapshot(hub, "book_attributes", DAY, [{"book_id": "by hand"}])
    assert last_fetch(hub, "book_attributes", served.endpoint) == ()
    assert fetch_and_store(hub, served.endpoint, NEXT_DAY).records == BOOKS


def test_another_page_size_does_not_take_over_pages_of_the_old_one(hub, serve):
    served, other = serve(Shelf()), serve(lambda asked: Answer(book_page(asked.page, 3), headers={"ETag": '"same"'}))
    fetch_and_store(hub, served.endpoint, DAY)
    snapshot = fetch_snapshot(other.endpoint, last_fetch(hub, "book_attributes", other.endpoint))
    assert not any("if-none-match" in each.headers for each in other.asked)
    assert snapshot.records == BOOKS


@pytest.mark.parametrize("note", [b"", b"[]", b"{}", b'{"snapshot": "no/such", "sha256": "0", "pages": []}'])
def test_damaged_validators_only_cost_a_fetch(hub, serve, note):
    served = serve(Shelf())
    hub.put(validators_key("book_attributes"), note)
    assert fetch_and_store(hub, served.endpoint, DAY).records == BOOKS


@pytest.mark.parametrize("link_in_304", [True, False])
def test_validators_lie_outside_the_days_and_hold_no_keys(hub, serve, link_in_304):
    served = serve(Shelf(linked=True, link_in_304=link_in_304))
    endpoint = replace(served.endpoint, url=f"{served.endpoint.url}?api_key=sesame".replace("//", "//me:word@"))
    fetch_and_store(hub, endpoint, DAY)
    note = hub.get("validators/book_attributes.json").decode()
    assert "sesame" not in note
    assert "word" not in note
    assert hub.folders("book_attributes") == ["dt=2026-11-20"]
    assert fetch_and_store(hub, endpoint, NEXT_DAY).unchanged


def test_a_query_of_our_own_does_not_overrule_that_of_a_remembered_link():
    endpoint = Endpoint("http://x/books?key=sesame&page=1", "book_id")
    kept = without_own_query(endpoint, "http://x/books?page=2&key=sesame")
    assert kept == "http://x/books?page=2"
    assert url_digest(with_own_query(endpoint, kept)) == url_digest("http://x/books?page=2&key=sesame")


def test_a_server_without_etags_is_fetched_whole_each_time(hub, serve):
    served = serve(plain)
    fetch_and_store(hub, served.endpoint, DAY)
    assert not fetch_and_store(hub, served.endpoint, NEXT_DAY).unchanged
    assert not any("if-none-match" in each.headers for each in served.asked)
