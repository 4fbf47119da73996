"""A real browser's cookies: a page that logged in gets in again, and pages of others do not."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from rocade.node.configuration import configuration_from
from rocade.node.worker import Worker

# What a page does: HELLO, and AUTHENTICATE when it is asked; answers with what came last.
LOGIN = """
({url, methods, close}) => new Promise((resolve, reject) => {
  const socket = new WebSocket(url, ["wamp.2.json"]);
  socket.onerror = () => resolve("refused by the server");
  socket.onopen = () =>
    socket.send(JSON.stringify([1, "realm1", {roles: {caller: {}}, authmethods: methods, authid: "joe"}]));
  socket.onmessage = ({data}) => {
    const message = JSON.parse(data);
    if (message[0] === 4) return socket.send(JSON.stringify([5, "magic", {}]));
    if (message[0] === 3) return resolve(message[2]);
    if (message[0] === 6) return resolve("left");
    if (close) return socket.send(JSON.stringify([6, {}, close]));
    resolve(message[2].authmethod);
  };
})
"""
NO_METHOD = "wamp.error.no_matching_auth_method"


class Router:
    """A router in a thread, with a page, and a WebSocket that lets every page connect."""

    def __init__(self, directory: Path) -> None:
        (directory / "index.html").write_text("<!DOCTYPE html><title>A page</title>")
        auth = {
            "cookie": {},
            "ticket": {"type": "static", "default-role": "user", "principals": {"joe": {"ticket": "magic"}}},
        }
        everybody = {"options": {"allowed_origins": ["*"]}, "auth": auth}
        friends = {"options": {"allowed_origins": ["http://friend.example.com:*"]}, "auth": auth}
        paths = {
            "/": {"type": "static", "directory": str(directory)},
            "ws": {"type": "websocket", **everybody},
            "friends": {"type": "websocket", **friends},
        }
        endpoint = {"type": "tcp", "interface": "127.0.0.1", "port": 0}
        worker = {
            "type": "router",
            "realms": [{"name": "realm1", "roles": [{"name": "user"}]}],
            "transports": [{"type": "web", "endpoint": endpoint, "paths": paths}],
        }
        self._worker = Worker(configuration_from({"version": 2, "workers": [worker]}, environment={}).worker)
        self._worker.bind()
        self.port = self._worker._sockets[0].getsockname()[1]
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)

    def start(self) -> None:
        """Listen."""
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._worker.start(), self._loop).result(30)

    def stop(self) -> None:
        """Stop, and end the thread."""
        asyncio.run_coroutine_threadsafe(self._worker.stop(), self._loop).result(30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(30)
        self._loop.close()

    def url(self, path: str = "/ws") -> str:
        """Of its WebSocket."""
        return f"ws://app.example.com:{self.port}{path}"

    def page(self, host: str) -> str:
        """Of its page, under some name of the router's."""
        return f"http://{host}:{self.port}/"


@pytest.fixture
def router(tmp_path: Path) -> Iterator[Router]:
    router = Router(tmp_path)
    router.start()
    yield router
    router.stop()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context()
    yield context.new_page()
    context.close()


def login(page: Page, url: str, *methods: str, close: str | None = None) -> Any:
    return page.evaluate(LOGIN, {"url": url, "methods": list(methods), "close": close})


def test_a_page_gets_in_again_by_cookie_until_it_logs_out(router: Router, page: Page) -> None:
    page.goto(router.page("app.example.com"))
    assert login(page, router.url(), "cookie") == NO_METHOD
    assert login(page, router.url(), "cookie", "ticket") == "ticket"

    page.reload()

    assert login(page, router.url(), "cookie", "ticket") == "cookie"
    assert page.evaluate("document.cookie") == "", "scripts do not see it"
    assert login(page, router.url(), "cookie", close="wamp.close.logout") == "left"
    assert login(page, router.url(), "cookie") == NO_METHOD


def test_other_pages_do_not_get_in_with_it(router: Router, page: Page) -> None:
    page.goto(router.page("app.example.com"))
    assert login(page, router.url(), "ticket") == "ticket"

    # Of another site, which browsers do not send it for; and of the same, for which they do.
    for host in ("evil.example.org", "other.example.com"):
        page.goto(router.page(host))
        assert login(page, router.url(), "cookie") == NO_METHOD
    assert login(page, router.url("/friends"), "cookie") == "refused by the server"
    page.goto(router.page("friend.example.com"))
    assert login(page, router.url("/friends"), "cookie") == "cookie"
    page.goto(router.page("app.example.com"))
    assert login(page, router.url(), "cookie") == "cookie"
