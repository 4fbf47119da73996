"""The web site: which service answers which path, files of a directory, and JSON values."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from rocade.serve.web.json_value import JsonValue
from rocade.serve.web.site import build_site
from rocade.serve.web.static import StaticDirectory

httpx = pytest.importorskip("httpx")


class Browser:
    """A client of an ASGI application: each request runs in an event loop of its own."""

    def __init__(self, application: ASGIApp) -> None:
        self.application = application

    def request(self, method: str, path: str, **headers: str) -> Any:
        """The response to one request; header names have "_" for "-"."""
        import asyncio

        async def send() -> Any:
            transport = httpx.ASGITransport(self.application)
            async with httpx.AsyncClient(transport=transport, base_url="http://site.example") as client:
                named = {name.replace("_", "-"): value for name, value in headers.items()}
                return await client.request(method, path, headers=named)

        return asyncio.run(send())

    def get(self, path: str, **headers: str) -> Any:
        """The response to GET."""
        return self.request("GET", path, **headers)


def raw_request(application: ASGIApp, path: str, kind: str = "http") -> list[dict[str, Any]]:
    """What an application sends for a path that no HTTP client would let through."""
    import asyncio

    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": f"{kind}.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": kind,
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "method": "GET",
        "path": path,
        "raw_path": path.encode("utf-8", "surrogateescape"),
        "root_path": "",
        "query_string": b"",
        "headers": [],
        "scheme": "http",
        "server": ("127.0.0.1", 80),
    }
    asyncio.run(application(scope, receive, send))  # type: ignore[arg-type]
    return sent


def named(name: str) -> ASGIApp:
    """A service that tells its name, and where it was asked."""

    async def service(scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        await PlainTextResponse(f"{name} {scope['root_path']} {request.url.path}")(scope, receive, send)

    return service


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A directory with files in it, and some around it that nobody may get."""
    (tmp_path / "secret.txt").write_text("secret")
    site = tmp_path / "site"
    (site / "docs").mkdir(parents=True)
    (site / "empty").mkdir()
    (site / ".crossbar").mkdir()
    (site / ".crossbar" / "config.json").write_text("{}")
    (site / ".well-known").mkdir()
    (site / ".well-known" / "security.txt").write_text("Contact: us")
    (site / "index.html").write_text("<h1>Home</h1>")
    (site / "docs" / "index.html").write_text("<h1>Docs</h1>")
    (site / "app.js").write_text("let a = 1;")
    (site / "été & co.txt").write_text("0123456789")
    (site / "link.txt").symlink_to(tmp_path / "secret.txt")
    (site / "out").symlink_to(tmp_path)
    (site / "inside.txt").symlink_to(site / "app.js")
    return site


@pytest.fixture
def browse(root: Path) -> Callable[..., Browser]:
    """Makes a browser on the directory, served with the given settings."""
    return lambda **settings: Browser(build_site({"/": StaticDirectory(root, **settings)}))


# Site


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("/", "root  /"),
        ("/a", "root  /a"),
        ("/api", "api /api /api"),
        ("/api/", "api /api /api/"),
        ("/api/users", "api /api /api/users"),
        ("/api/v1", "v1 /api/v1 /api/v1"),
        ("/api/v1/x/y/z", "v1 /api/v1 /api/v1/x/y/z"),
        ("/api/v10", "api /api /api/v10"),
        ("/apix", "root  /apix"),
        ("/ws", "ws /ws /ws"),
    ],
)
def test_the_longest_path_wins(path: str, answer: str) -> None:
    site = build_site({"/": named("root"), "ws": named("ws"), "/api/": named("api"), "/api/v1": named("v1")})

    assert Browser(site).get(path).text == answer


def test_a_path_that_nobody_serves_is_named_in_plain_text() -> None:
    site = build_site({"/ws": named("ws")})

    response = Browser(site).get("/no<b>where")

    assert (response.status_code, response.text) == (404, "/no<b>where: there is nothing here\n")
    assert response.headers["content-type"] == "text/plain; charset=utf-8"
    assert response.headers["x-content-type-options"] == "nosniff"


def test_a_long_path_with_control_characters_is_shown_on_one_short_line() -> None:
    start, body = raw_request(build_site({}), "/a\r\nb" + "/" * 5000)

    assert start["status"] == 404
    text = body["body"].decode()
    assert text.startswith("/a��b///")
    assert (text.count("\n"), len(text) < 300) == (1, True)


def test_two_services_on_one_path_are_refused() -> None:
    with pytest.raises(ValueError, match="two services have the path '/ws'"):
        build_site({"ws": named("a"), "/ws": named("b")})


def test_services_may_be_mounted_below_a_site_that_is_mounted_itself() -> None:
    inner = build_site({"/b": named("inner")})

    assert Browser(build_site({"/a": inner})).get("/a/b/c").text == "inner /a/b /a/b/c"


def test_a_websocket_handshake_for_a_path_without_websocket_is_refused() -> None:
    assert [message["type"] for message in raw_request(build_site({}), "/ws", "websocket")] == ["websocket.close"]
    served = build_site({"/": JsonValue(1)})
    assert [message["type"] for message in raw_request(served, "/", "websocket")] == ["websocket.close"]


# Files


def test_a_file_is_served_with_its_type(browse: Callable[..., Browser]) -> None:
    response = browse().get("/app.js")

    assert (response.status_code, response.text) == (200, "let a = 1;")
    assert response.headers["content-type"] == "text/javascript; charset=utf-8"
    assert response.headers["cache-control"] == "no-cache"


def test_a_name_with_spaces_and_accents_is_found(browse: Callable[..., Browser]) -> None:
    assert browse().get("/%C3%A9t%C3%A9%20%26%20co.txt").text == "0123456789"


def test_a_directory_shows_its_index(browse: Callable[..., Browser]) -> None:
    browser = browse()

    assert browser.get("/").text == "<h1>Home</h1>"
    assert browser.get("/docs/").text == "<h1>Docs</h1>"


def test_a_directory_without_its_slash_is_redirected_relatively(root: Path) -> None:
    site = Browser(build_site({"/files": StaticDirectory(root)}))

    at_root, below = site.get("/files?a=b"), site.get("/files/docs")

    assert (at_root.status_code, at_root.headers["location"]) == (307, "./files/?a=b")
    assert (below.status_code, below.headers["location"]) == (307, "./docs/")


def test_a_redirect_never_leads_to_another_host(root: Path) -> None:
    (root / "evil.example").mkdir()
    (root / "evil.example" / "index.html").write_text("")
    site = build_site({"/": StaticDirectory(root)})

    start, _ = raw_request(site, "//evil.example")

    assert dict(start["headers"])[b"location"] == b"./evil.example/"


def test_head_answers_like_get(browse: Callable[..., Browser]) -> None:
    response = browse().request("HEAD", "/app.js")

    assert (response.status_code, response.headers["content-length"], response.content) == (200, "10", b"")


def test_other_methods_are_refused_by_name(browse: Callable[..., Browser]) -> None:
    response = browse().request("POST", "/app.js")

    assert (response.status_code, response.headers["allow"]) == (405, "GET, HEAD")
    assert response.text == "/app.js: POST is not possible here, only GET, HEAD\n"


def test_an_unchanged_file_is_not_sent_again(browse: Callable[..., Browser], root: Path) -> None:
    browser = browse(max_age=60)
    first = browser.get("/app.js")

    by_tag = browser.get("/app.js", if_none_match=first.headers["etag"])
    by_date = browser.get("/app.js", if_modified_since=first.headers["last-modified"])
    os.utime(root / "app.js", (1, 1))
    changed = browser.get("/app.js", if_none_match=first.headers["etag"])

    assert [response.status_code for response in (by_tag, by_date, changed)] == [304, 304, 200]
    assert by_tag.headers["cache-control"] == first.headers["cache-control"] == "public, max-age=60"
    assert by_tag.content == b""


@pytest.mark.parametrize(
    ("asked", "status", "content"),
    [
        ("bytes=2-4", 206, b"234"),
        ("bytes=-3", 206, b"789"),
        ("bytes=8-", 206, b"89"),
        ("bytes=20-", 416, None),
        ("lines=1-2", 400, None),
    ],
)
def test_parts_of_a_file_can_be_asked_for(
    browse: Callable[..., Browser], asked: str, status: int, content: bytes | None
) -> None:
    response = browse().get("/%C3%A9t%C3%A9%20%26%20co.txt", range=asked)

    assert response.status_code == status
    assert content is None or response.content == content


@pytest.mark.parametrize(
    "path",
    [
        "/../secret.txt",
        "/docs/../../secret.txt",
        "/docs/../app.js",
        "/..\\secret.txt",
        "//secret.txt",
        "/link.txt",
        "/out/secret.txt",
        "/.crossbar/config.json",
        "/.crossbar/",
        "/empty",
        "/empty/",
        "/app.js/",
        "/app.js/x",
        "/nothing",
        "/a\0b",
        "/" + "x" * 5000,
        "/\udcff",
        "//etc/passwd",
    ],
)
def test_what_is_not_below_the_directory_is_not_there(root: Path, path: str) -> None:
    start, body = raw_request(build_site({"/": StaticDirectory(root)}), path)

    assert start["status"] == 404
    assert b"secret" not in body["body"].replace(b"secret.txt", b"")


def test_links_that_stay_inside_and_well_known_files_are_served(browse: Callable[..., Browser]) -> None:
    browser = browse()

    assert browser.get("/inside.txt").text == "let a = 1;"
    assert browser.get("/.well-known/security.txt").text == "Contact: us"


@pytest.mark.skipif(getattr(os, "geteuid", int)() == 0, reason="the superuser may read everything")
def test_a_file_that_may_not_be_read_is_forbidden(browse: Callable[..., Browser], root: Path) -> None:
    (root / "app.js").chmod(0)

    assert browse().get("/app.js").status_code == 403


def test_a_listing_shows_files_escaped_and_nothing_hidden(browse: Callable[..., Browser], root: Path) -> None:
    (root / "empty" / "<script>alert(1)<").write_text("")
    (root / "empty" / "a:b").write_text("")
    (root / "empty" / ".hidden").write_text("")
    (root / "empty" / "sub").mkdir()
    (root / "empty" / "out").symlink_to("/")

    response = browse(listing=True).get("/empty/")

    assert response.status_code == 200
    assert "<script>" not in response.text
    assert '<a href="./%3Cscript%3Ealert%281%29%3C">&lt;script&gt;alert(1)&lt;</a>' in response.text
    assert '<a href="./a%3Ab">a:b</a>' in response.text
    assert '<a href="./sub/">sub/</a>' in response.text
    assert '<a href="../">' in response.text
    assert "hidden" not in response.text
    assert "out" not in response.text


def test_an_index_goes_before_a_listing(browse: Callable[..., Browser]) -> None:
    assert browse(listing=True).get("/docs/").text == "<h1>Docs</h1>"


def test_a_fallback_is_for_pages_only(browse: Callable[..., Browser]) -> None:
    browser = browse(fallback="index.html")

    page = browser.get("/users/7", accept="text/html,*/*;q=0.8")
    script = browser.get("/missing.js")
    data = browser.get("/missing", accept="application/json")

    assert (page.status_code, page.text) == (200, "<h1>Home</h1>")
    assert [script.status_code, data.status_code] == [404, 404]


def test_a_default_file_is_for_everything_that_is_missing(browse: Callable[..., Browser]) -> None:
    browser = browse(default_file="index.html")

    assert browser.get("/missing.js").text == "<h1>Home</h1>"
    assert browser.get("/../secret.txt").text == "<h1>Home</h1>"
    assert browser.get("/app.js").text == "let a = 1;"


def test_a_default_file_outside_the_directory_is_not_served(browse: Callable[..., Browser]) -> None:
    assert browse(default_file="../secret.txt").get("/missing").status_code == 404


def test_content_types_can_be_added(browse: Callable[..., Browser]) -> None:
    response = browse(content_types={".JS": "text/plain"}).get("/app.js")

    assert response.headers["content-type"] == "text/plain; charset=utf-8"


def test_a_directory_that_does_not_exist_is_an_error_at_once(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="does not exist"):
        StaticDirectory(tmp_path / "nowhere")


# JSON values


@pytest.fixture
def value() -> dict[str, Any]:
    """A JSON value."""
    return {"name": "été", "list": [1, None]}


def test_a_value_is_served_as_json(value: dict[str, Any]) -> None:
    response = Browser(build_site({"/config": JsonValue(value)})).get("/config")

    assert response.json() == value
    assert response.headers["content-type"] == "application/json"
    assert "access-control-allow-origin" not in response.headers
    assert "\n  " in response.text


def test_a_value_that_is_not_prettified_has_no_spaces(value: dict[str, Any]) -> None:
    assert Browser(JsonValue(value, prettify=False)).get("/").text == '{"name":"été","list":[1,null]}\n'


def test_a_value_can_be_for_all_origins_and_never_cached(value: dict[str, Any]) -> None:
    response = Browser(JsonValue(value, allow_cross_origin=True, discourage_caching=True)).get("/")

    assert response.headers["access-control-allow-origin"] == "*"
    assert response.headers["cache-control"] == "no-store"
    assert "etag" not in response.headers


def test_an_unchanged_value_is_not_sent_again(value: dict[str, Any]) -> None:
    browser = Browser(JsonValue(value))

    again = browser.get("/", if_none_match="W/" + browser.get("/").headers["etag"] + ', "x"')

    assert (again.status_code, again.content) == (304, b"")


def test_a_value_has_nothing_below_it_and_cannot_be_written(value: dict[str, Any]) -> None:
    browser = Browser(build_site({"/config": JsonValue(value)}))

    assert browser.get("/config/").status_code == 200
    assert browser.get("/config/name").status_code == 404
    assert browser.request("PUT", "/config").headers["allow"] == "GET, HEAD, OPTIONS"
    assert browser.request("OPTIONS", "/config").status_code == 204


def test_a_number_that_json_has_not_is_refused() -> None:
    with pytest.raises(ValueError, match="Out of range"):
        JsonValue(float("nan"))
