"""The page of shelves and the developers' portal: who may open them, what they do, and how they look in Chromium."""

import re
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from recsys_platform.serving.gateway.access import Access
from recsys_platform.serving.gateway.api import ENDPOINTS, create_app
from recsys_platform.serving.gateway.keys import KeyStore
from tests.support.browser import CHROMIUM, MISSING, Browser
from tests.support.serving_world import Running, ServingWorld

Start = Callable[..., Running]
SCREENS = {"desktop": {"width": 1280, "height": 900}, "phone": {"width": 390, "height": 844, "phone": True}}


@pytest.fixture
def api(serving_world: ServingWorld, run_gateway: Start) -> Running:
    return run_gateway(serving_world)


@pytest.fixture
def page(api: Running) -> httpx.Client:
    """A browser without JavaScript, which sends where its forms come from."""
    return httpx.Client(base_url=api.url, headers={"origin": api.url}, follow_redirects=True, timeout=30)


@pytest.fixture
def guarded(serving_world: ServingWorld, run_gateway: Start, tmp_path: Path) -> Running:
    """A gateway of the environment `aws`."""
    return run_gateway(serving_world, access=Access(KeyStore(tmp_path / "keys-of-aws", "aws")))


def books(html: str) -> list[str]:
    """The books of the first shelf."""
    return re.findall(r'data-book="([^"]+)"', html.split('id="popular"')[0].split('id="because"')[0])


def form_of(html: str, book: str) -> dict[str, str]:
    """The fields of the form of a book."""
    block = html.split(f'data-book="{book}"')[1].split("</form>")[0]
    return dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', block))


def test_a_click_changes_the_list_and_says_so(page: httpx.Client) -> None:
    before = page.get("/", params={"reader": "u01"})
    first = books(before.text)[0]
    assert f"Title of {first}" in before.text
    after = page.post("/page/events", data=form_of(before.text, first) | {"clicked": "finished"})
    assert after.status_code == 200
    assert f"Title of {first}: finished" in after.text
    assert first not in books(after.text)
    assert ">new<" in after.text
    refused = books(after.text)[0]
    last = page.post("/page/events", data=form_of(after.text, refused) | {"clicked": "dismissed"})
    assert refused not in books(last.text)


def test_a_guest_has_a_list_that_clicks_change_and_other_guests_do_not_see(api: Running, page: httpx.Client) -> None:
    before = page.get("/").text
    first = books(before)[0]
    after = page.post("/page/events", data=form_of(before, first) | {"clicked": "finished"}).text
    assert first not in books(after)
    assert first in books(httpx.get(api.url).text)


def test_what_a_catalog_or_a_visitor_writes_stays_text(page: httpx.Client) -> None:
    found = page.get("/", params={"reader": '"><script>alert(1)', "clicked": "finished", "book": "<b>"})
    assert "<script>alert" not in found.text
    assert found.status_code == 200
    assert "<b>" not in found.text
    policy = page.get("/").headers["content-security-policy"]
    assert "unsafe" not in policy
    assert policy.startswith("default-src 'none'")


@pytest.mark.parametrize("reader", ["\0page", "x" * 501, "a/b"])
def test_what_can_be_no_id_is_refused(page: httpx.Client, reader: str) -> None:
    assert page.get("/", params={"reader": reader}).status_code == 422


FOREIGN = {
    "another origin": {"origin": "https://evil.example"},
    "no origin": {"origin": "null"},
    "a link of another site": {"sec-fetch-site": "cross-site"},
    "another port": {"origin": "http://127.0.0.1:1"},
}


@pytest.mark.parametrize("what", FOREIGN)
@pytest.mark.parametrize("path", ["/page/events", "/page/sign-in", "/page/sign-out"])
def test_a_form_of_another_site_does_nothing(page: httpx.Client, what: str, path: str) -> None:
    found = page.post(path, data={"reader": "u01", "book": "b01", "clicked": "finished"}, headers=FOREIGN[what])
    assert found.status_code == 403


def test_a_form_that_does_not_say_where_it_comes_from_does_nothing(api: Running) -> None:
    assert httpx.post(f"{api.url}/page/events", data={"book": "b01", "clicked": "finished"}).status_code == 403


@pytest.mark.parametrize("form", [{}, {"clicked": "bought", "book": "b01"}, {"clicked": "finished"}])
def test_a_form_that_is_none_of_the_page_is_refused(page: httpx.Client, form: dict[str, str]) -> None:
    assert page.post("/page/events", data=form).status_code == 422
    assert page.post("/page/events", content=b"x" * 30_000).status_code == 413


def test_another_name_of_this_machine_does_not_open_the_page(api: Running) -> None:
    assert httpx.get(api.url, headers={"host": "evil.example"}).status_code == 401
    assert httpx.get(api.url, headers={"host": "localhost:8000"}).status_code == 200


PROXIES = {
    "RFC 7239": {"forwarded": "for=192.0.2.60;proto=http"},
    "for whom": {"x-forwarded-for": "127.0.0.1"},
    "which host": {"X-Forwarded-Host": "books.example"},
    "another name of the address": {"x-real-ip": "127.0.0.1"},
    "a gateway": {"via": "1.1 proxy"},
}


@pytest.mark.parametrize("what", PROXIES)
def test_a_proxy_on_this_machine_does_not_open_the_page(api: Running, page: httpx.Client, what: str) -> None:
    assert httpx.get(api.url, headers=PROXIES[what]).status_code == 401
    form = {"reader": "u01", "book": "b01", "clicked": "finished"}
    assert page.post("/page/events", data=form, headers=PROXIES[what]).status_code == 403


def test_a_proxy_of_http_1_0_does_not_open_the_page(api: Running) -> None:
    address = httpx.URL(api.url)
    with socket.create_connection((address.host, address.port or 80), timeout=30) as connection:
        connection.sendall(b"GET / HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")
        assert b" 401 " in connection.recv(100)


def sign_in(gateway: Running, role: Any) -> httpx.Client:
    key = gateway.gateway.access.keys.create(role, roles=(role,))[1]
    browser = httpx.Client(base_url=gateway.url, headers={"origin": gateway.url}, follow_redirects=True, timeout=30)
    browser.post("/page/sign-in", data={"key": key})
    return browser


def test_outside_a_local_world_the_page_asks_for_a_key(guarded: Running) -> None:
    found = httpx.get(guarded.url)
    assert found.status_code == 401
    assert "Sign in" in found.text
    assert books(found.text) == []
    click = {"reader": "u01", "book": "b01", "clicked": "finished"}
    refused = httpx.post(f"{guarded.url}/page/events", data=click, headers={"origin": guarded.url})
    assert refused.status_code == 403


def test_an_analyst_looks_and_an_admin_also_clicks(guarded: Running) -> None:
    click = {"reader": "u01", "book": "b01", "clicked": "finished"}
    analyst, admin, app = (sign_in(guarded, role) for role in ("analyst", "admin", "app"))
    assert books(analyst.get("/").text)
    assert "Not for me" not in analyst.get("/").text
    assert analyst.post("/page/events", data=click).status_code == 403
    assert admin.post("/page/events", data=click).status_code == 200
    assert app.get("/").status_code == 401


def test_a_sign_in_ends_when_the_key_is_revoked_and_its_cookie_cannot_be_made_up(guarded: Running) -> None:
    browser, keys = sign_in(guarded, "admin"), guarded.gateway.access.keys
    assert browser.get("/").status_code == 200
    cookie = browser.cookies["recsys_page"]
    key_id, until, signature = cookie.split(".")
    for made_up in (f"{key_id}.{int(until) + 1}.{signature}", f"{key_id}.{until}.", f"..{signature}", "ä", "a.b.c"):
        headers = {"cookie": f"recsys_page={made_up}".encode()}
        assert httpx.get(guarded.url, headers=headers).status_code == 401
    browser.post("/page/sign-out")
    assert browser.get("/").status_code == 401
    keys.revoke(key_id)
    assert httpx.get(guarded.url, cookies={"recsys_page": cookie}).status_code == 401


def test_the_cookie_is_for_this_site_alone_and_not_for_scripts(guarded: Running) -> None:
    key = guarded.gateway.access.keys.create("admin", roles=("admin",))[1]
    found = httpx.post(f"{guarded.url}/page/sign-in", data={"key": key}, headers={"origin": guarded.url})
    assert {"HttpOnly", "SameSite=strict"} <= set(found.headers["set-cookie"].split("; "))
    assert key.rpartition("_")[2] not in found.headers["set-cookie"]
    through_tls = {"origin": guarded.url, "x-forwarded-proto": "https"}
    found = httpx.post(f"{guarded.url}/page/sign-in", data={"key": key}, headers=through_tls)
    assert "Secure" in found.headers["set-cookie"].split("; ")


def test_the_portal_names_every_endpoint_and_loads_nothing_from_elsewhere(api: Running) -> None:
    found = httpx.get(f"{api.url}/docs").text
    for each in ENDPOINTS:
        assert f"<code>{each.path}</code>" in found
    assert set(re.findall(r'(?:src|href)="(?:https?:)?//[^"]*"', found)) == set()
    for asset in re.findall(r'"(/assets/[^"]+)"', found):
        assert httpx.get(api.url + asset).status_code == 200


OPEN = {"/openapi.json", "/docs", "/assets/style.css", "/assets/try.js", "/assets/icon.svg"}
GUARDED = {"/": 401, "/page/events": 403, "/page/sign-in": 403, "/page/sign-out": 303}


def test_no_other_path_is_open_by_forgetting(guarded: Running) -> None:
    paths = {route.path for route in create_app(guarded.gateway).routes}
    assert paths - {each.path for each in ENDPOINTS} == OPEN | set(GUARDED)
    for path, status in GUARDED.items():
        headers = {"origin": guarded.url}
        found = httpx.request("GET" if path == "/" else "POST", guarded.url + path, headers=headers)
        assert found.status_code == status


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip(MISSING)
    with Browser(tmp_path_factory.mktemp("chromium")) as opened:
        yield opened


OVERFLOWING = """
[...document.querySelectorAll('main *')]
  .filter((e) => e.checkVisibility() && !e.parentElement.closest('pre, .wide, .readers, select, datalist'))
  .filter((e) => e.getBoundingClientRect().right > innerWidth + 1)
  .map((e) => e.outerHTML.slice(0, 80))
"""
"""What is cut off on the right, except in what scrolls by itself."""
FIRST = "#for_you .book:first-child"


@pytest.mark.slow  # starts a browser
def test_in_a_browser_a_click_changes_the_list(api: Running, browser: Browser) -> None:
    browser.show_as(**SCREENS["desktop"], dark=False)
    browser.open(f"{api.url}/?reader=u01")
    assert browser.complaints() == []
    [first] = browser.texts(f"{FIRST} h3")
    browser.click(f"{FIRST} button[value=finished]")
    assert first in browser.texts("[role=status]")[0]
    assert first not in browser.texts("#for_you h3")
    assert first in browser.texts(".done")[0]
    [refused] = browser.texts(f"{FIRST} h3")
    browser.click(f"{FIRST} button[value=dismissed]")
    assert refused not in browser.texts("#for_you h3")


def answer_of(browser: Browser, operation: str, key: str) -> str:
    """What the portal shows after its form was sent."""
    browser.evaluate(f"document.querySelector('#key').value = {key!r}")
    browser.evaluate(f"document.querySelector('#{operation} .try button').click()")
    browser.wait_until(f"!document.querySelector('#{operation} .result').hidden")
    return str(browser.evaluate(f"document.querySelector('#{operation} .answer').textContent"))


@pytest.mark.slow  # starts a browser
def test_in_a_browser_the_portal_sends_a_request_with_the_key_that_was_typed_in(api: Running, browser: Browser) -> None:
    browser.open(f"{api.url}/docs")
    assert browser.complaints() == []
    key = api.client.headers["authorization"].removeprefix("Bearer ")
    assert '"source": "live"' in answer_of(browser, "recommendations", key)
    assert browser.evaluate("document.querySelector('#recommendations [role=status]').textContent").startswith("200")
    assert key not in browser.evaluate("document.cookie + JSON.stringify(localStorage) + location.href")


@pytest.mark.slow  # starts a browser
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("screen", SCREENS)
@pytest.mark.parametrize("path", ["/?reader=u01", "/docs"], ids=["page", "portal"])
def test_every_text_can_be_read_and_nothing_is_wider_than_the_screen(
    api: Running, browser: Browser, path: str, screen: str, dark: bool
) -> None:
    browser.show_as(**SCREENS[screen], dark=dark)
    browser.open(api.url + path)
    browser.evaluate("document.querySelectorAll('details').forEach((each) => (each.open = true))")
    key = api.client.headers["authorization"].removeprefix("Bearer ")
    if path == "/docs":
        answer_of(browser, "rank", key)
    assert browser.weak_texts() == []
    assert browser.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    assert browser.evaluate(OVERFLOWING) == []
    assert browser.evaluate(
        "[...document.querySelectorAll('input,select,textarea')].every((e) => e.type === 'hidden' || e.labels.length)"
    )
