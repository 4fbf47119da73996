"""Logins by cookie, through a whole router: WebSocket and long-poll, stores, origins, logging out."""

from __future__ import annotations

import base64
import hmac
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager, closing
from copy import deepcopy
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from tests.authority import Authority
from tests.node import running
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from rocade import Cookie, HandshakeRefused
from rocade import connect as connect_with_us
from rocade.errors import ConfigurationError
from rocade.node.configuration import configuration_from
from rocade.node.remarks import remarks
from rocade.node.worker import Worker
from rocade.serve.authentication import cookie_file, cookies
from rocade.serve.authentication.cookie_file import CookieFile
from rocade.serve.authentication.cookie_store import CookieRecord, CookieStore, digest_of
from rocade.serve.authentication.cookies import CookieJar, CookieOptions

AUTH: dict[str, Any] = {
    "cookie": {},
    "ticket": {
        "type": "static",
        "default-role": "user",
        "principals": {"joe": {"ticket": "magic"}, "ann": {"ticket": "secret", "role": "staff"}},
    },
    "anonymous": {"type": "static", "role": "user"},
}


def configured(
    directory: Path | str = ".", *, auth: dict[str, Any] | None = None, tls: Any = None, **cookie: Any
) -> Any:
    service = {"auth": deepcopy(auth or AUTH), "cookie": cookie}
    origins = {"options": {"allowed_origins": ["https://app.example.org", "*"]}}
    endpoint = {"type": "tcp", "interface": "127.0.0.1", "port": 0} | ({"tls": tls} if tls else {})
    paths = {"ws": {"type": "websocket", **service, **origins}, "lp": {"type": "longpoll", **service, **origins}}
    realms = [{"name": name, "roles": [{"name": "user"}, {"name": "staff"}]} for name in ("realm1", "realm2")]
    transports = [{"type": "web", "endpoint": endpoint, "paths": paths}]
    file = {"version": 2, "workers": [{"type": "router", "realms": realms, "transports": transports}]}
    return configuration_from(file, directory=directory, environment={})


class Browser:
    """A client with a cookie jar; it keeps one cookie."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.cookie: str | None = None
        self.set_cookie: str | None = None

    @asynccontextmanager
    async def connected(self, origin: str | None = None, ssl: Any = None, sent: str | None = None) -> Any:
        header = sent if sent is not None else self.cookie
        async with connect(
            f"{'wss' if ssl else 'ws'}://127.0.0.1:{self.port}/ws",
            ssl=ssl,
            origin=origin,  # type: ignore[arg-type]
            subprotocols=[Subprotocol("wamp.2.json")],
            additional_headers={"Cookie": header} if header else None,
            proxy=None,
        ) as connection:
            assert connection.response is not None
            self.take(connection.response.headers.get("Set-Cookie"))
            yield connection

    def take(self, header: str | None) -> None:
        self.set_cookie = header
        if header is not None:
            self.cookie = header.split(";")[0]

    async def logged_in(self, connection: ClientConnection, authid: str = "joe", ticket: str = "magic") -> list[Any]:
        assert await says(connection, hello("ticket", authid=authid)) == [4, "ticket", {}]
        return await says(connection, [5, ticket, {}])

    async def visit(self, **details: Any) -> list[Any]:
        """What comes of a HELLO that asks to be let in by cookie."""
        async with self.connected() as connection:
            return await says(connection, hello("cookie", **details))


def hello(*methods: str, realm: str = "realm1", **details: Any) -> list[Any]:
    return [1, realm, {"roles": {"caller": {}}, "authmethods": list(methods), **details}]


async def says(connection: ClientConnection, message: list[Any]) -> list[Any]:
    await connection.send(msgspec.json.encode(message).decode())
    return await hears(connection)


async def hears(connection: ClientConnection) -> list[Any]:
    answer: list[Any] = msgspec.json.decode(await connection.recv())
    return answer


NO_METHOD = "wamp.error.no_matching_auth_method"
Story = Callable[[Browser], Awaitable[None]]


def play(configuration: Any, story: Story) -> None:
    """Play a story with a router running."""
    running.play(configuration, lambda port: story(Browser(port)))


# --- Getting in -----------------------------------------------------------------------------------------


def test_who_logged_in_before_gets_in_by_cookie() -> None:
    async def story(browser: Browser) -> None:
        async with browser.connected() as connection:
            assert (await browser.logged_in(connection))[0] == 2
        async with browser.connected() as connection:
            assert browser.set_cookie is None, "it has one that counts"
            welcome = await says(connection, hello("cookie"))
        details = welcome[2]
        assert (details["authid"], details["authrole"]) == ("joe", "user")
        assert (details["authmethod"], details["authprovider"]) == ("cookie", "cookie")
        assert (await browser.visit(authid="joe"))[0] == 2

    play(configured(), story)


def test_a_cookie_is_hidden_and_for_its_own_site_only() -> None:
    async def story(browser: Browser) -> None:
        async with browser.connected():
            pass
        (morsel,) = SimpleCookie(browser.set_cookie).values()
        assert morsel.key == "cbtid"
        assert len(morsel.value) == 24
        assert (morsel["httponly"], morsel["samesite"], morsel["path"]) == (True, "Strict", "/")
        assert (morsel["max-age"], morsel["secure"], morsel["domain"]) == ("604800", "", "")

    play(configured(), story)


def test_what_a_cookie_is_like_can_be_said() -> None:
    async def story(browser: Browser) -> None:
        async with browser.connected():
            pass
        (morsel,) = SimpleCookie(browser.set_cookie).values()
        assert (morsel.key, len(morsel.value)) == ("__Host-us", 40)
        assert (morsel["httponly"], morsel["samesite"], morsel["secure"]) == ("", "None", True)
        assert morsel["max-age"] == "60"

    settings = {"name": "__Host-us", "length": 40, "max_age": 60, "http_strict": False, "same_site": "None"}
    play(configured(secure=True, **settings), story)


def test_over_tls_a_cookie_is_for_tls_only(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair = authority.issue("server")
    context = authority.client_context()

    async def story(browser: Browser) -> None:
        async with browser.connected(ssl=context) as connection:
            assert (await browser.logged_in(connection))[0] == 2
        assert browser.set_cookie is not None
        assert "Secure" in browser.set_cookie
        async with browser.connected(ssl=context) as connection:
            assert (await says(connection, hello("cookie")))[0] == 2

    play(configured(tls={"certificate": str(pair.certificate), "key": str(pair.key)}), story)


def test_a_cookie_stands_for_nothing_before_a_login() -> None:
    async def story(browser: Browser) -> None:
        cookies = set()
        for _ in range(3):
            assert (await browser.visit())[2] == NO_METHOD
            cookies.add(browser.cookie)
        assert len(cookies) == 3, "one that stands for nothing is not taken from a client"
        async with browser.connected() as connection:
            assert (await says(connection, hello("anonymous")))[0] == 2
        assert (await browser.visit())[2] == NO_METHOD
        async with browser.connected() as connection:
            assert (await browser.logged_in(connection, ticket="wrong"))[0] == 3
        assert (await browser.visit())[2] == NO_METHOD

    play(configured(), story)


def test_the_next_method_is_tried_where_a_cookie_does_not_help() -> None:
    async def story(browser: Browser) -> None:
        async with browser.connected() as connection:
            assert await says(connection, hello("cookie", "ticket", authid="joe")) == [4, "ticket", {}]
            assert (await says(connection, [5, "magic", {}]))[0] == 2
        for other in ({"realm": "realm2"}, {"authid": "ann"}):
            assert (await browser.visit(**other))[2] == NO_METHOD
            async with browser.connected() as connection:
                assert await says(connection, hello("cookie", "ticket", **{"authid": "ann", **other})) == [
                    4,
                    "ticket",
                    {},
                ]
        assert (await browser.visit())[0] == 2

    play(configured(), story)


@pytest.mark.parametrize(
    "sent", ["cbtid=", "cbtid=x", "cbtid=" + "A" * 24, 'cbtid="', "cbtid=\xff", "=", ";;;", "cbtid=a; " * 100]
)
def test_cookies_that_mean_nothing_are_replaced(sent: str) -> None:
    async def story(browser: Browser) -> None:
        async with browser.connected(sent=sent.encode("latin-1").decode("latin-1")) as connection:
            assert browser.set_cookie is not None
            assert (await says(connection, hello("cookie")))[2] == NO_METHOD

    play(configured(), story)


def test_a_cookie_is_found_among_others() -> None:
    async def story(browser: Browser) -> None:
        async with browser.connected() as connection:
            await browser.logged_in(connection)
        mine = browser.cookie
        for sent in (f"a=b; {mine}; xcbtid=c", f"cbtid=other; {mine}", f"{mine};cbtid=other", f"a=b;{mine}"):
            async with browser.connected(sent=sent) as connection:
                assert (await says(connection, hello("cookie")))[0] == 2
        async with browser.connected(sent=f"x{mine}") as connection:
            assert (await says(connection, hello("cookie")))[2] == NO_METHOD

    play(configured(), story)


def test_a_cookie_that_somebody_else_knows_is_no_way_into_anothers_account() -> None:
    """Session fixation: an attacker has a victim's browser send a cookie of his, and waits."""

    async def story(attacker: Browser) -> None:
        async with attacker.connected():
            pass
        planted = attacker.cookie
        victim = Browser(attacker.port)
        async with victim.connected(sent=planted) as connection:
            assert victim.cookie != planted
            assert (await victim.logged_in(connection))[0] == 2
        assert (await attacker.visit())[2] == NO_METHOD

        # Now one that stands for the attacker's own login.
        async with attacker.connected() as connection:
            assert (await attacker.logged_in(connection, "ann", "secret"))[0] == 2
        async with victim.connected(sent=attacker.cookie) as connection:
            assert (await victim.logged_in(connection))[0] == 2
        assert (await attacker.visit())[2] == NO_METHOD, "neither's any more"

    play(configured(), story)


# --- Whose page -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("origin", "is_trusted"),
    [
        (None, True),
        ("http://127.0.0.1:{port}", True),
        ("http://localhost:3000", True),
        ("https://app.example.org", True),
        ("https://evil.example.com", False),
        ("http://app.example.org", False),
    ],
)
def test_only_pages_that_were_allowed_by_name_may_use_cookies(origin: str | None, is_trusted: bool) -> None:
    """The transport lets every page connect."""

    async def story(browser: Browser) -> None:
        async with browser.connected() as connection:
            await browser.logged_in(connection)
        page = None if origin is None else origin.format(port=browser.port)
        async with browser.connected(origin=page) as connection:
            assert browser.set_cookie is None
            assert (await says(connection, hello("cookie")))[0] == (2 if is_trusted else 3)
        stranger = Browser(browser.port)
        async with stranger.connected(origin=page):
            assert (stranger.cookie is not None) == is_trusted
        assert (await open_longpoll(browser, page, "cookie"))[0] == (2 if is_trusted else 3)

    play(configured(), story)


# --- Long-poll ------------------------------------------------------------------------------------------


async def open_longpoll(browser: Browser, origin: str | None, *methods: str, **details: Any) -> list[Any]:
    """What comes of HELLO."""
    headers = {"Cookie": browser.cookie} if browser.cookie else {}
    if origin is not None:
        headers["Origin"] = origin
    base = f"http://127.0.0.1:{browser.port}/lp"
    async with httpx.AsyncClient(headers=headers, trust_env=False) as client:
        opened = await client.post(f"{base}/open", json={"protocols": ["wamp.2.json"]})
        browser.take(opened.headers.get("set-cookie"))
        at = f"{base}/{opened.json()['transport']}"
        await client.post(f"{at}/send", json=hello(*methods, **details))
        answer: list[Any] = (await client.post(f"{at}/receive")).json()
        if answer[0] == 4:
            await client.post(f"{at}/send", json=[5, "magic", {}])
            answer = (await client.post(f"{at}/receive")).json()
        await client.post(f"{at}/close")
        return answer


def test_long_poll_has_the_same_cookies() -> None:
    async def story(browser: Browser) -> None:
        assert (await open_longpoll(browser, None, "ticket", authid="joe"))[0] == 2
        assert browser.set_cookie is not None
        welcome = await open_longpoll(browser, None, "cookie")
        assert (welcome[0], welcome[2]["authid"]) == (2, "joe")
        assert browser.set_cookie is None
        assert (await browser.visit())[0] == 2

    play(configured(), story)


def test_the_same_for_the_client_that_we_have() -> None:
    async def story(browser: Browser) -> None:
        url = f"ws://127.0.0.1:{browser.port}/ws"
        async with browser.connected() as connection:
            await browser.logged_in(connection)
        assert browser.cookie is not None
        async with connect_with_us(url, credentials=Cookie(browser.cookie)) as session:
            assert (session.authid, session.authmethod) == ("joe", "cookie")
            assert await session.call("rocade.session.logout") == 0
        with pytest.raises(HandshakeRefused) as refused:
            async with connect_with_us(url, credentials=Cookie(browser.cookie)):
                pass
        assert refused.value.uri == NO_METHOD

    play(configured(), story)


# --- Logging out ----------------------------------------------------------------------------------------


async def expect_logout(connection: ClientConnection) -> None:
    assert (await hears(connection))[::2] == [6, "wamp.close.logout"]
    await connection.send(msgspec.json.encode([6, {}, "wamp.close.goodbye_and_out"]).decode())
    with pytest.raises(ConnectionClosed):
        await connection.recv()


@pytest.mark.parametrize("by_procedure", [False, True])
def test_logging_out_forgets_the_cookie_and_ends_its_other_sessions(by_procedure: bool) -> None:
    async def story(browser: Browser) -> None:
        other = Browser(browser.port)
        async with browser.connected() as first, other.connected() as stranger:
            await browser.logged_in(first)
            assert (await other.logged_in(stranger))[0] == 2
            async with browser.connected() as second, browser.connected() as third:
                assert (await says(second, hello("cookie")))[0] == 2
                assert (await says(third, hello("anonymous")))[0] == 2
                if by_procedure:
                    assert await says(first, [48, 1, {}, "rocade.session.logout"]) == [50, 1, {}, [1]]
                else:
                    assert (await says(first, [6, {}, "wamp.close.logout"]))[0] == 6
                await expect_logout(second)
                assert (await says(third, [48, 1, {}, "com.example.none"]))[0] == 8
            assert (await says(stranger, [48, 1, {}, "com.example.none"]))[0] == 8
        assert (await browser.visit())[2] == NO_METHOD
        assert (await other.visit())[0] == 2

    play(configured(), story)


def test_an_ordinary_goodbye_does_not_log_out() -> None:
    async def story(browser: Browser) -> None:
        async with browser.connected() as connection:
            await browser.logged_in(connection)
            assert (await says(connection, [6, {}, "wamp.close.close_realm"]))[0] == 6
            # The same connection may open another session, by its cookie.
            assert (await says(connection, hello("cookie")))[0] == 2
        assert (await browser.visit())[0] == 2

    play(configured(), story)


def test_sessions_without_a_cookie_can_log_out_too_which_does_nothing() -> None:
    async def story(browser: Browser) -> None:
        async with browser.connected() as connection:
            await says(connection, hello("anonymous"))
            assert await says(connection, [48, 1, {}, "rocade.session.logout"]) == [50, 1, {}, [0]]

    play(configured(), story)


# --- Expiry, stores -------------------------------------------------------------------------------------


def test_a_cookie_expires(monkeypatch: pytest.MonkeyPatch) -> None:
    ahead = 0.0
    now = cookies.wall_clock
    monkeypatch.setattr(cookies, "wall_clock", lambda: now() + ahead)

    async def story(browser: Browser) -> None:
        nonlocal ahead
        async with browser.connected() as connection:
            await browser.logged_in(connection)
        ahead = 50
        assert (await browser.visit())[0] == 2
        ahead = 70
        assert (await browser.visit())[2] == NO_METHOD

    play(configured(max_age=60), story)


def log_in_and_keep(configuration: Any) -> str:
    kept: list[str] = []

    async def story(browser: Browser) -> None:
        async with browser.connected() as connection:
            assert (await browser.logged_in(connection))[0] == 2
        assert browser.cookie is not None
        kept.append(browser.cookie)

    play(configuration, story)
    return kept[0]


def visit_with(configuration: Any, cookie: str) -> list[Any]:
    answers: list[list[Any]] = []

    async def story(browser: Browser) -> None:
        browser.cookie = cookie
        answers.append(await browser.visit())

    play(configuration, story)
    return answers[0]


FILE = {"type": "file", "filename": "cookies.db"}


def test_a_file_survives_a_restart_and_has_no_cookie_in_it(tmp_path: Path) -> None:
    cookie = log_in_and_keep(configured(tmp_path, store=FILE))
    name, _, value = cookie.partition("=")

    content = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert value.encode() not in content
    assert b"magic" not in content
    assert (tmp_path / "cookies.db").stat().st_mode & 0o777 == 0o600
    assert visit_with(configured(tmp_path, store=FILE), cookie)[2]["authid"] == "joe"
    digest = digest_of(value).hex()
    assert visit_with(configured(tmp_path, store=FILE), f"{name}={digest}")[2] == NO_METHOD


def test_memory_does_not_survive_a_restart() -> None:
    assert visit_with(configured(), log_in_and_keep(configured()))[2] == NO_METHOD


def test_a_logout_is_kept_too(tmp_path: Path) -> None:
    cookie = log_in_and_keep(configured(tmp_path, store=FILE))

    async def story(browser: Browser) -> None:
        browser.cookie = cookie
        async with browser.connected() as connection:
            assert (await says(connection, hello("cookie")))[0] == 2
            await says(connection, [6, {}, "wamp.close.logout"])

    play(configured(tmp_path, store=FILE), story)

    assert visit_with(configured(tmp_path, store=FILE), cookie)[2] == NO_METHOD


@pytest.mark.parametrize(
    ("principals", "is_good"),
    [
        ({"joe": {"ticket": "magic"}}, True),
        ({"joe": {"ticket": "Magic"}}, False),
        ({"joe": {"ticket": "magic", "role": "staff"}}, False),
        ({"ann": {"ticket": "magic"}}, False),
    ],
)
def test_a_login_that_is_not_configured_any_more_is_not_remembered(
    principals: dict[str, Any], is_good: bool, tmp_path: Path
) -> None:
    cookie = log_in_and_keep(configured(tmp_path, store=FILE))
    auth = deepcopy(AUTH)
    auth["ticket"]["principals"] = principals

    answer = visit_with(configured(tmp_path, auth=auth, store=FILE), cookie)

    assert answer[0] == (2 if is_good else 3)


def test_a_cookie_of_an_old_secret_is_given_up_at_the_next_login(tmp_path: Path) -> None:
    """Whoever got in by the old secret must not get in again because its owner logs in by the new one."""
    cookie = log_in_and_keep(configured(tmp_path, store=FILE))
    auth = deepcopy(AUTH)
    auth["ticket"]["principals"] = {"joe": {"ticket": "Magic"}}

    async def story(browser: Browser) -> None:
        browser.cookie = cookie
        async with browser.connected() as connection:
            assert (await browser.logged_in(connection, ticket="Magic"))[0] == 2
        assert (await browser.visit())[2] == NO_METHOD
        assert browser.cookie != cookie
        async with browser.connected() as connection:
            assert (await browser.logged_in(connection, ticket="Magic"))[0] == 2
        assert (await browser.visit())[0] == 2

    play(configured(tmp_path, auth=auth, store=FILE), story)


def test_logging_in_by_another_method_keeps_the_cookie() -> None:
    auth = deepcopy(AUTH)
    auth["wampcra"] = {"type": "static", "users": {"joe": {"secret": "secret", "role": "user"}}}

    async def story(browser: Browser) -> None:
        async with browser.connected() as connection:
            await browser.logged_in(connection)
        async with browser.connected() as connection:
            challenge = await says(connection, hello("wampcra", authid="joe"))
            signature = hmac.digest(b"secret", challenge[2]["challenge"].encode(), "sha256")
            assert (await says(connection, [5, base64.b64encode(signature).decode(), {}]))[0] == 2
        assert (await browser.visit())[0] == 2

    play(configured(auth=auth), story)


def create(config: dict[str, Any], controller: None) -> Any:
    """An authenticator of type "function"."""

    def authenticate(realm: str, authid: str | None, details: dict[str, Any]) -> Any:
        remembered = details["cookie"]
        assert remembered == {"authid": "joe", "authrole": "user", "authmethod": "ticket", "realm": "realm1"}
        return config["says"]

    return authenticate


def test_another_role_at_the_next_login_is_the_one_that_counts() -> None:
    auth = {**AUTH, "ticket": {"type": "function", "create": "tests.node.test_cookie_logins.create_ticket"}}

    async def story(browser: Browser) -> None:
        for role in ("staff", "user"):
            Told.role = role
            async with browser.connected() as connection:
                assert (await browser.logged_in(connection))[2]["authrole"] == role
            assert (await browser.visit())[2]["authrole"] == role

    play(configured(auth=auth), story)


class Told:
    """What the function below says."""

    role = "user"


def create_ticket(config: dict[str, Any], controller: None) -> Any:
    """An authenticator of type "function"."""
    return lambda realm, authid, details: {"role": Told.role}


@pytest.mark.parametrize(("says", "role"), [("staff", "staff"), (None, None), (7, None)])
def test_somebody_may_be_asked_whether_a_login_is_still_good(says: Any, role: str | None) -> None:
    function = {"type": "function", "create": "tests.node.test_cookie_logins.create", "config": {"says": says}}

    async def story(browser: Browser) -> None:
        async with browser.connected() as connection:
            await browser.logged_in(connection)
        answer = await browser.visit()
        if role is None:
            assert answer[::2] == [3, "wamp.error.authentication_failed"]
        else:
            assert answer[2]["authrole"] == role

    play(configured(auth={**AUTH, "cookie": function}), story)


# --- The store by itself --------------------------------------------------------------------------------


def record(until: float = 1000.0, **more: Any) -> CookieRecord:
    details = {"authid": "joe", "role": "user", "asked": "realm1", "realm": "realm1", "method": "ticket", "stamp": b""}
    return CookieRecord(until=until, **{**details, **more})


def test_a_store_is_bounded_and_forgets_the_oldest_first() -> None:
    store = CookieStore(max_cookies=3)
    for number in range(5):
        store.put(f"cookie{number}", record(), 0)

    assert [store.find(f"cookie{number}", 0) is not None for number in range(5)] == [False, False, True, True, True]
    assert len(store) == 3


def test_a_client_that_logs_in_again_and_again_pushes_out_its_own_logins_only() -> None:
    store = CookieStore(max_per_authid=3)
    store.put("another's", record(authid="ann"), 0)
    store.put("another realm's", record(realm="realm2"), 0)
    for number in range(5):
        store.put(f"cookie{number}", record(), 0)
    store.put("cookie4", record(), 0)

    assert [store.find(f"cookie{number}", 0) is not None for number in range(5)] == [False, False, True, True, True]
    assert store.find("another's", 0) is not None
    assert store.find("another realm's", 0) is not None


def test_a_store_forgets_what_has_expired() -> None:
    store = CookieStore()
    for number in range(100):
        store.put(f"cookie{number}", record(until=number), 0)

    store.put("another", record(), 50)

    assert len(store) == 50


def test_many_handshakes_take_no_memory() -> None:
    store = CookieStore()
    jar = CookieJar(CookieOptions(), store, lambda method, authid: b"")

    given = {jar.cookie({"cookie": f"cbtid=guess{number}"}).value for number in range(1000)}

    assert len(given) == 1000
    assert len(store) == 0
    assert not store.sessions


def test_changes_reach_the_file(tmp_path: Path) -> None:
    path = str(tmp_path / "cookies.db")
    file = CookieFile(path, 0)
    store = CookieStore(file, file.records, max_per_authid=1000)
    file.start()
    for number in range(1000):
        store.put(f"cookie{number}", record(extra={"n": number}), 0)
    for number in range(500):
        store.forget(f"cookie{number}")
    file.close(10)

    again = CookieFile(path, 0)
    again.close(0)

    assert again.records == {digest_of(f"cookie{number}"): record(extra={"n": number}) for number in range(500, 1000)}
    later = CookieFile(path, 2000)
    later.close(0)
    assert later.records == {}


def test_a_login_that_cannot_be_written_harms_no_other(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = str(tmp_path / "cookies.db")
    file = CookieFile(path, 0)
    store = CookieStore(file, file.records)
    file.start()
    store.put("one", record(extra={"what": object()}), 0)
    store.put("two", record(), 0)
    assert store.find("one", 0) is not None
    file.close(10)

    again = CookieFile(path, 0)
    again.close(0)

    assert set(again.records) == {digest_of("two")}
    assert "cannot be written" in caplog.text


def test_a_file_that_cannot_be_written_for_a_while_catches_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(cookie_file, "RETRY_SECONDS", 0.01)
    path = str(tmp_path / "cookies.db")
    file = CookieFile(path, 0)
    file._connection.execute("PRAGMA query_only = ON")
    file.start()
    file.put(digest_of("one"), record())
    while "cannot be written" not in caplog.text:
        file.put(digest_of("two"), record())
        file._thread.join(0.01)
    file._connection.execute("PRAGMA query_only = OFF")
    file.close(10)

    again = CookieFile(path, 0)
    again.close(0)

    assert set(again.records) == {digest_of("one"), digest_of("two")}
    assert "are written again" in caplog.text


def test_files_that_are_something_else_are_refused(tmp_path: Path) -> None:
    crossbars = tmp_path / "crossbars"
    crossbars.write_text('{"cbtid": "x", "status": "created"}\n' * 100)
    with closing(sqlite3.connect(tmp_path / "other")) as other:
        other.execute("CREATE TABLE something (a)")
        other.commit()
    newer = tmp_path / "newer"
    CookieFile(str(newer), 0).close(0)
    with closing(sqlite3.connect(newer)) as connection:
        connection.execute("PRAGMA user_version = 99")
    taken = CookieFile(str(tmp_path / "taken"), 0)
    cases = {
        crossbars: "Crossbar's own cookies",
        tmp_path / "other": "of something else",
        newer: "version 99",
        tmp_path / "taken": "another process",
        tmp_path / "no" / "such": "No such file",
    }
    for path, text in cases.items():
        with pytest.raises(ConfigurationError, match=text):
            CookieFile(str(path), 0)
    taken.close(0)


def test_a_file_that_cannot_be_used_is_told_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "cookies.db").write_text("nonsense" * 100)
    worker = Worker(configured(tmp_path, store=FILE).worker)

    with pytest.raises(ConfigurationError, match=r"workers\[0\].transports\[0\].*cannot hold cookies"):
        worker.bind()


def test_cookies_that_nobody_gets_in_by_are_remarked_on() -> None:
    auth = {method: settings for method, settings in AUTH.items() if method != "cookie"}

    said = remarks(configured(auth=auth, store={**FILE, "purge_on_startup": True}))

    at = "workers[0].transports[0].paths.{}.cookie{} has no effect: {}"
    for path in ("ws", "lp"):
        assert at.format(path, "", "'auth' lets nobody in by 'cookie'") in said
        assert at.format(path, ".store.purge_on_startup", "what has expired is deleted at every start") in said
    assert remarks(configured()) == []


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"name": "a b"}, "cookie.name"),
        ({"length": 5}, "cookie.length"),
        ({"max_age": 0}, "cookie.max_age"),
        ({"same_site": "None"}, "cookie.same_site: 'None' needs 'secure'"),
        ({"name": "__Host-x"}, "cookie.name: '__Host-x' needs 'secure'"),
        ({"store": {"type": "database", "path": "x"}}, "'database' stores are not supported"),
        ({"store": {"type": "file"}}, "cookie.store.filename: is required"),
    ],
    ids=str,
)
def test_what_cannot_work_is_refused(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        configured(**settings)

    assert text in str(caught.value)
