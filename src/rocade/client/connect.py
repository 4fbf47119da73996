"""`rocade.connect`: from a URL, or from within the process, to a session."""

from __future__ import annotations

import asyncio
import ssl
import sys
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rocade.client.addresses import parse_url
from rocade.client.authentication import Anonymous, Credentials
from rocade.client.connector import DEFAULT_TIMEOUT, Connector, Open
from rocade.client.identity import Identity
from rocade.client.reconnect import Reconnect
from rocade.client.session import Hook, Session
from rocade.client.threads import DEFAULT_THREADS
from rocade.net.dial import LinkOptions, dial_rawsocket, dial_websocket
from rocade.net.link import Link, Receiver
from rocade.net.memory import linked_pair
from rocade.net.surroundings import Surroundings
from rocade.wamp.codec import SERIALIZERS

__all__ = ["DEFAULT_URL", "Connecting", "connect", "connect_in_memory", "connect_over"]

DEFAULT_URL = "ws://127.0.0.1:8080/ws"
"""Where `rocade start` listens."""

SERIALIZER_ORDER = ("msgpack", "json", "cbor")
"""What is offered to the router unless a serializer is named."""


class Connecting:
    """What `connect` returns: to be awaited, or used with `async with`, for a `Session`."""

    def __init__(self, start: Callable[[], Any]) -> None:
        """Made by `connect`."""
        self._start = start
        self._session: Session | None = None

    def __repr__(self) -> str:
        return "<rocade.connect(…), a session once it is awaited>"

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """Who has forgotten to wait looks here for what a session has."""
            raise AttributeError(
                f"no {name!r} here: use `async with rocade.connect(…) as session`, or `await rocade.connect(…)`"
            )

    def __await__(self) -> Generator[Any, None, Session]:
        session: Session = yield from self._start().__await__()
        return session

    async def __aenter__(self) -> Session:
        self._session = await self
        return self._session

    async def __aexit__(self, *_exception: object) -> None:
        assert self._session is not None
        await self._session.close()


def connect(
    url: str = DEFAULT_URL,
    realm: str = "realm1",
    *,
    credentials: Credentials | Sequence[Credentials] | None = None,
    serializer: str | Sequence[str] | None = None,
    tls: ssl.SSLContext | str | None = None,
    headers: Mapping[str, str] | None = None,
    timeout: float = DEFAULT_TIMEOUT,
    reconnect: Reconnect | bool = True,
    resumable: bool = True,
    ping_interval: float = 15.0,
    ping_timeout: float = 10.0,
    threads: int = DEFAULT_THREADS,
    authrole: str | None = None,
    authextra: dict[str, Any] | None = None,
    agent: str | None = None,
    on_connect: Hook | None = None,
    on_join: Hook | None = None,
    on_resume: Hook | None = None,
    on_leave: Hook | None = None,
    on_disconnect: Hook | None = None,
) -> Connecting:
    """Connect to a router and open a session: `async with rocade.connect(…) as session`, or `await rocade.connect(…)`.

    Args:
        url: `ws://host:port/path`, `wss://…`, `rs://host:port` (RawSocket), `rss://…`, `unix:/path` (RawSocket) or
            `ws+unix:/path`.
        realm: name of the realm.
        credentials: who the client is, such as `rocade.Ticket("joe", "secret")`; several in order of preference.
            Without any it is anonymous.
        serializer: "json", "msgpack" or "cbor"; several in order of preference. By default all of them are offered,
            MessagePack first.
        tls: for "wss" and "rss": a context, or the file with the certificates of the authorities to trust.
        headers: more for the HTTP request that opens a WebSocket.
        timeout: seconds within which there must be a session. Until then a router that cannot be reached is tried
            again; one that refuses is not.
        reconnect: how a lost connection is replaced; False is not at all.
        resumable: whether to ask the router to keep the session while there is no connection (docs/resume.md).
        ping_interval: longest silence in seconds before the router is asked for a sign of life; 0 is never.
        ping_timeout: seconds that it has for one, before the connection is given up and replaced.
        threads: how many plain functions run at the same time.
        authrole: the role that is asked for, where there is a choice.
        authextra: more for the router's authenticator.
        agent: what the router is told about the client's software.
        on_connect, on_join, on_resume, on_leave, on_disconnect: see the methods of `Session` of the same names.
    Raises:
        ValueError: the URL, or another argument, makes no sense.
        FileNotFoundError: there is no file of that name, for `tls`.
        ConnectionFailed, HandshakeRefused: when it is awaited: there is no session.
    """
    names = _serializers(serializer)
    chosen = _credentials(credentials)
    options = LinkOptions(serializers=names, ping_interval=ping_interval, ping_timeout=ping_timeout)
    return connect_over(
        _dialing(url, tls, headers, chosen, options),
        realm,
        credentials=chosen,
        authrole=authrole,
        authextra=authextra,
        timeout=timeout,
        reconnect=reconnect,
        resumable=resumable,
        threads=threads,
        agent=agent,
        ping_interval=ping_interval,
        on_connect=on_connect,
        on_join=on_join,
        on_resume=on_resume,
        on_leave=on_leave,
        on_disconnect=on_disconnect,
    )


def _dialing(
    url: str,
    tls: ssl.SSLContext | str | None,
    headers: Mapping[str, str] | None,
    credentials: Sequence[Credentials],
    options: LinkOptions,
) -> Open:
    """What opens links to a URL; the arguments are those of `connect`."""
    for each in credentials:
        headers = {**(headers or {}), **each.headers()}
    context = _trusting(tls) if isinstance(tls, str) else tls
    kind, target = parse_url(url, tls=context, headers=headers)
    if target.tls is not None:
        for each in credentials:
            each.prepare(target.tls)
    dial = dial_websocket if kind == "websocket" else dial_rawsocket
    surroundings: Surroundings | None = None

    async def open_link(connected: Callable[[Link], Receiver]) -> Link:
        nonlocal surroundings
        loop = asyncio.get_running_loop()
        if surroundings is None or surroundings.loop is not loop:
            surroundings = Surroundings(loop)
        return await dial(surroundings, target, options, connected)

    return open_link


def connect_in_memory(
    entrance: Callable[[Link], Receiver],
    realm: str = "realm1",
    *,
    serializer: str = "msgpack",
    **options: Any,
) -> Connecting:
    """Open a session with a router in the same process and on the same event loop, without sockets.

    Args:
        entrance: what the router calls with the server's end of a new link, such as `gateway.entrance(…)`.
        realm: name of the realm.
        serializer: what is spoken.
        **options: see `connect_over`.
    """
    chosen = SERIALIZERS[_serializers(serializer)[0]]

    async def open_link(connected: Callable[[Link], Receiver]) -> Link:
        return linked_pair(entrance, connected, serializer=chosen)[1]

    options.setdefault("resumable", False)
    return connect_over(open_link, realm, **options)


def connect_over(
    open_link: Open,
    realm: str = "realm1",
    *,
    credentials: Credentials | Sequence[Credentials] | None = None,
    authrole: str | None = None,
    authextra: dict[str, Any] | None = None,
    timeout: float = DEFAULT_TIMEOUT,
    reconnect: Reconnect | bool = True,
    resumable: bool = True,
    threads: int = DEFAULT_THREADS,
    agent: str | None = None,
    ping_interval: float = 0.0,
    on_connect: Hook | None = None,
    on_join: Hook | None = None,
    on_resume: Hook | None = None,
    on_leave: Hook | None = None,
    on_disconnect: Hook | None = None,
) -> Connecting:
    """Open a session over links of whatever kind.

    Args:
        open_link: opens a link; called for each connection.
        realm: name of the realm.
        credentials: see `connect`.
        ping_interval: see `connect`; here for RawSocket only.
        authrole, authextra, timeout, reconnect, resumable, threads, agent, on_…: see `connect`.
    """
    if not isinstance(realm, str):
        raise TypeError(f"the name of a realm is a str, not {realm!r}")
    if threads < 1:
        raise ValueError(f"threads must be 1 or more, not {threads!r}")
    identity = Identity(
        credentials=_credentials(credentials),
        authrole=authrole,
        authextra=authextra,
        resumable=resumable,
        agent=agent or f"Rocade (Python {sys.version_info[0]}.{sys.version_info[1]})",
    )
    policy = Reconnect() if reconnect is True else reconnect or None

    async def start() -> Session:
        session = Session(realm, threads=threads)
        hooks = {
            session.on_connect: on_connect,
            session.on_join: on_join,
            session.on_resume: on_resume,
            session.on_leave: on_leave,
            session.on_disconnect: on_disconnect,
        }
        for add, hook in hooks.items():
            if hook is not None:
                add(hook)
        await Connector(session, open_link, identity, policy, ping_interval).connect(timeout)
        return session

    return Connecting(start)


def _credentials(credentials: Credentials | Sequence[Credentials] | None) -> Sequence[Credentials]:
    if credentials is None:
        return (Anonymous(),)
    several = isinstance(credentials, Sequence) and not isinstance(credentials, str | bytes)
    chosen: tuple[Credentials, ...] = tuple(credentials) if several else (credentials,)  # type: ignore[arg-type, assignment]
    for each in chosen:
        if not isinstance(each, Credentials):
            # Not shown: it may be a secret.
            raise TypeError(
                f"credentials are objects such as rocade.Ticket('joe', 'secret'), not {type(each).__name__}"
            )
    names = {each.authid for each in chosen if each.authid is not None}
    if not chosen:
        raise ValueError("credentials are empty; leave them out to be anonymous")
    if len(names) > 1:
        raise ValueError(f"a client has one authid, not {' and '.join(sorted(names))}")
    return chosen


def _trusting(file: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=file)
    except ssl.SSLError as error:
        raise ValueError(f"tls: there is no certificate in PEM form in {file!r} ({error.reason})") from None
    except OSError as error:  # which does not say which file
        raise type(error)(f"tls: {file!r} cannot be used: {error.strerror or error}") from None


def _serializers(serializer: str | Sequence[str] | None) -> tuple[str, ...]:
    if serializer is None:
        return SERIALIZER_ORDER
    names = (serializer,) if isinstance(serializer, str) else tuple(serializer)
    unknown = [name for name in names if name not in SERIALIZERS]
    if unknown or not names:
        raise ValueError(f"a serializer is one of {', '.join(SERIALIZERS)}, not {', '.join(unknown) or 'none'}")
    return names
