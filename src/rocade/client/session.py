"""A client's session: what a user of the client has in hand."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextvars import ContextVar
from copy import copy
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeVar

from rocade.client.callee import Callee, Registration
from rocade.client.caller import Caller
from rocade.client.channel import Channel
from rocade.client.details import PastEvent
from rocade.client.meta import Scope, Testaments, history
from rocade.client.options import CallOptions, PublishOptions, RegisterOptions, SubscribeOptions, check_options
from rocade.client.subscriber import EventStream, Subscriber, Subscription
from rocade.client.threads import DEFAULT_THREADS, Threads
from rocade.wamp.messages import Invoke, Match, Publish, Published, WelcomeDetails

if TYPE_CHECKING:
    from rocade.client.connector import Connector

__all__ = ["Hook", "Session"]

E = TypeVar("E", bound=StrEnum)

Hook = Callable[..., Awaitable[None] | None]
"""A plain or a coroutine function that is told of an event in a session's life."""

# Set while `on_join` hooks run, to the session that they are of, or to True for any: what they register in it, they
# will register again in the next session themselves.
in_join_hook: ContextVar[Session | bool] = ContextVar("in_join_hook", default=False)

_NO_PUBLISH_OPTIONS = PublishOptions()

logger = logging.getLogger("rocade.client")


class Session:
    """A session with a router. It outlives its connections: a lost one is replaced, registrations and subscriptions are
    restored, and requests that are made meanwhile wait.

    All methods are to be called on the event loop that the session was made on.

    Attributes:
        realm: name of the realm.
        id: of the WAMP session; another one after a reconnection that could not resume it.
        authid, authrole, authmethod, authprovider: who the router says that the client is.
    """

    def __init__(self, realm: str, *, threads: int = DEFAULT_THREADS) -> None:
        """Made by `rocade.connect`."""
        loop = asyncio.get_running_loop()
        self.realm = realm
        self.id = 0
        self.welcome: WelcomeDetails | None = None
        self._threads = Threads(loop, threads)
        self._channel = Channel(loop)
        self._caller = Caller(self._channel)
        self._callee = Callee(self._channel, self, self._threads)
        self._subscriber = Subscriber(self._channel, self, self._threads)
        self._testaments = Testaments(self)
        self._connector: Connector | None = None
        # name of an event -> who is told
        self._hooks: dict[str, list[Hook]] = {}

    def __repr__(self) -> str:
        return f"<Session {self.id} in {self.realm!r}{'' if self.is_open else ', not connected'}>"

    @property
    def is_open(self) -> bool:
        """Whether there is a session at this moment."""
        return self._channel.is_open

    @property
    def is_closed(self) -> bool:
        """Whether the session is over, and there will be no other."""
        return self._channel.end is not None

    @property
    def authid(self) -> str | None:
        """See the class."""
        return None if self.welcome is None else self.welcome.authid

    @property
    def authrole(self) -> str | None:
        """See the class."""
        return None if self.welcome is None else self.welcome.authrole

    @property
    def authmethod(self) -> str | None:
        """See the class."""
        return None if self.welcome is None else self.welcome.authmethod

    @property
    def authprovider(self) -> str | None:
        """See the class."""
        return None if self.welcome is None else self.welcome.authprovider

    def fileno(self) -> int:
        """The descriptor of the connection's socket, or -1 if there is none at this moment."""
        return -1 if self._connector is None else self._connector.fileno()

    # --- calls ------------------------------------------------------------------------------------

    async def call(
        self,
        procedure: str,
        /,
        *args: Any,
        timeout: float | None = None,
        options: CallOptions | None = None,
        **kwargs: Any,
    ) -> Any:
        """Call a procedure. A task that is canceled while it waits cancels the call.

        Args:
            procedure: its URI.
            *args: positional arguments.
            timeout: seconds until it is given up.
            options: further options.
            **kwargs: keyword arguments.
        Returns:
            The result: None, one value, or a `CallResult` for several or for keyword results.
        Raises:
            CallTimeout: there was no result in time.
            ApplicationError: any other ERROR, as the class that its URI is mapped to.
            ConnectionLost: the session ended meanwhile; whether the call was executed is not known.
            SessionClosed: the session was closed.
            PayloadNotSerializable, PayloadTooLarge: the arguments cannot be sent.
            TypeError: `options` are of another class.
        """
        return await self._caller.call(procedure, args, kwargs, timeout, options)

    def stream(
        self,
        procedure: str,
        /,
        *args: Any,
        timeout: float | None = None,
        options: CallOptions | None = None,
        **kwargs: Any,
    ) -> AsyncGenerator[Any, None]:
        """Call a procedure and iterate over its progressive results, the last of which is the result if it has a value.

        Leaving the loop cancels the call. If one of the positional arguments is an asynchronous iterator, the call is a
        progressive one: it is made once for each item, in the place of the iterator.

        Args and Raises: as for `call`.
        """
        if options is not None:
            check_options(CallOptions, options)
        return self._caller.stream(procedure, args, kwargs, timeout, options)

    # --- events -----------------------------------------------------------------------------------

    async def publish(
        self, topic: str, /, *args: Any, options: PublishOptions | None = None, **kwargs: Any
    ) -> int | None:
        """Publish an event. Waits while the connection is full, so that a fast publisher is slowed down.

        Args:
            topic: the topic's URI.
            *args: positional payload.
            options: of the publication; with `acknowledge` the router answers.
            **kwargs: keyword payload.
        Returns:
            Id of the publication if it is acknowledged, else None.
        Raises:
            ApplicationError: the router refuses an acknowledged publication; others fail silently.
            ConnectionLost, SessionClosed, PayloadNotSerializable, PayloadTooLarge: as for `call`.
        """
        channel = self._channel
        if options is None:
            options = _NO_PUBLISH_OPTIONS
        elif check_options(PublishOptions, options).acknowledge:
            published: Published = await channel.request(Publish, options, topic, args, kwargs)
            return published.publication
        if not channel.is_open or channel.outbox.is_full:
            await channel.ready()
        channel.send_request(Publish, options, topic, args, kwargs)
        return None

    async def subscribe(
        self,
        handler: Callable[..., Any],
        topic: str,
        *,
        options: SubscribeOptions | None = None,
        match: Match | str | None = None,
        get_retained: bool | None = None,
    ) -> Subscription:
        """Have a function called for each event of a topic, one after the other.

        Args:
            handler: a coroutine function, or a plain one, which runs in a thread. Its arguments are checked and
                converted by its type hints; a first parameter of type `EventDetails` gets the event's details.
            topic: the topic's URI, or pattern.
            options: further options.
            match: "exact", "prefix" or "wildcard".
            get_retained: whether the topic's retained event is wanted.
        Raises:
            ApplicationError, ConnectionLost, SessionClosed: as for `call`.
            TypeError: it is no function, or its type hints make no sense.
        """
        chosen = _subscribe_options(options, match, get_retained)
        return await self._subscriber.subscribe(handler, topic, chosen, is_kept=self._is_outside_hooks())

    def events(
        self,
        topic: str,
        *,
        options: SubscribeOptions | None = None,
        match: Match | str | None = None,
        get_retained: bool | None = None,
    ) -> EventStream:
        """Iterate over the events of a topic; see `EventStream` for when the subscription begins and ends.

        Args and Raises: as for `subscribe`.
        """
        chosen = _subscribe_options(options, match, get_retained)
        return EventStream(self._subscriber.events(topic, chosen, is_kept=self._is_outside_hooks()))

    def history(
        self,
        topic: str,
        *,
        match: Match | str = Match.EXACT,
        limit: int | None = None,
        reverse: bool = False,
        **conditions: Any,
    ) -> AsyncGenerator[PastEvent, None]:
        """Iterate over events of the past, where the router keeps a history.

        Args:
            topic: the topic or pattern that the router's configuration names.
            match: how it stands there.
            limit: how many events at most.
            reverse: from the newest to the oldest.
            **conditions: `from_time`, `after_time`, `before_time`, `until_time` (a `datetime`, or text as in RFC 3339),
                `from_publication`, `after_publication`, `before_publication`, `until_publication`, `topic`.
        Raises:
            ApplicationError: there is no such history, or it may not be read.
        """
        return history(self, topic, _choice(Match, match), limit, reverse, conditions)

    async def get_events(self, topic: str, limit: int | None = 100, **options: Any) -> list[PastEvent]:
        """Events of the past as a list: see `history`."""
        return [event async for event in self.history(topic, limit=limit, **options)]

    async def add_testament(
        self,
        topic: str,
        /,
        *args: Any,
        options: PublishOptions | None = None,
        scope: Scope = "destroyed",
        **kwargs: Any,
    ) -> None:
        """Leave an event behind, which the router publishes when the session is over, however it ends.

        Args:
            topic, *args, options, **kwargs: as for `publish`.
            scope: "detached" for when the connection is lost, even if the session is resumed.
        Raises:
            ApplicationError: the router refuses.
        """
        if options is not None:
            check_options(PublishOptions, options)
        await self._testaments.add(topic, args, kwargs, options, scope, is_kept=self._is_outside_hooks())

    async def flush_testaments(self, scope: Scope = "destroyed") -> None:
        """Take back all testaments of a scope."""
        await self._testaments.flush(scope)

    # --- procedures -------------------------------------------------------------------------------

    async def register(
        self,
        function: Callable[..., Any],
        procedure: str,
        *,
        options: RegisterOptions | None = None,
        match: Match | str | None = None,
        invoke: Invoke | str | None = None,
        concurrency: int | None = None,
        traceback: bool = False,
    ) -> Registration:
        """Offer a function as a procedure.

        Args:
            function: a coroutine function; a plain one, which runs in a thread; or a generator of either kind, for
                progressive results. Its arguments are checked and converted by its type hints; a first parameter of
                type `CallDetails` gets the call's details, one of type `AsyncIterator` the arguments of a progressive
                call.
            procedure: the URI, or pattern.
            options: further options.
            match: "exact", "prefix" or "wildcard".
            invoke: "single", "roundrobin", "random", "first" or "last".
            concurrency: how many invocations may run here at the same time; the router keeps others waiting.
            traceback: send tracebacks to callers, during development; they always go to the log here.
        Raises:
            ApplicationError, ConnectionLost, SessionClosed: as for `call`.
            TypeError: it is no function, or its type hints make no sense.
        """
        chosen = _register_options(options, match, invoke, concurrency)
        is_kept = self._is_outside_hooks()
        return await self._callee.register(function, procedure, chosen, is_kept=is_kept, traceback=traceback)

    # --- life -------------------------------------------------------------------------------------

    async def close(self, reason: str = "wamp.close.normal", message: str | None = None) -> None:
        """Leave the realm and close the connection; handlers that run are canceled. Does nothing the second time.

        Args:
            reason: URI for GOODBYE.
            message: words for GOODBYE.
        """
        if self._connector is not None:
            await self._connector.close(reason, message)

    async def wait_closed(self) -> None:
        """Wait until the session is over for good: closed by us, or given up.

        Raises:
            Exception: why it was given up, unless `close` was called.
        """
        assert self._connector is not None
        await self._connector.wait_closed()

    async def __aenter__(self) -> Session:
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await self.close()

    def on_connect(self, hook: Hook) -> Hook:
        """Have `hook(session)` called when there is a new connection, before the session is opened on it."""
        return self._add_hook("connect", hook)

    def on_join(self, hook: Hook) -> Hook:
        """Have `hook(session)` called when there is a new session: what it registers and subscribes is not restored,
        since it will do so itself the next time."""
        return self._add_hook("join", hook)

    def on_resume(self, hook: Hook) -> Hook:
        """Have `hook(session)` called when a lost connection was replaced, and the session goes on."""
        return self._add_hook("resume", hook)

    def on_leave(self, hook: Hook) -> Hook:
        """Have `hook(session, reason)` called when a session is over, with a `LeaveReason`."""
        return self._add_hook("leave", hook)

    def on_disconnect(self, hook: Hook) -> Hook:
        """Have `hook(session, reason)` called when a connection is gone; the reason is in plain words."""
        return self._add_hook("disconnect", hook)

    def _is_outside_hooks(self) -> bool:
        """Whether what is made now is to be made anew in another session."""
        hook = in_join_hook.get()
        return hook is not True and hook is not self

    def _add_hook(self, event: str, hook: Hook) -> Hook:
        self._hooks.setdefault(event, []).append(hook)
        return hook

    def hooks(self, event: str) -> Iterable[Hook]:
        """Who is to be told of an event: "connect", "join", "resume", "leave" or "disconnect"."""
        return tuple(self._hooks.get(event, ()))


def _choice(kind: type[E], value: str) -> E:
    try:
        return kind(value)
    except ValueError:
        choices = ", ".join(repr(str(each)) for each in kind)
        raise ValueError(f"{kind.__name__.lower()} must be one of {choices}, not {value!r}") from None


def _subscribe_options(
    options: SubscribeOptions | None, match: Match | str | None, get_retained: bool | None
) -> SubscribeOptions:
    chosen = SubscribeOptions() if options is None else copy(check_options(SubscribeOptions, options))
    if match is not None:
        chosen.match = _choice(Match, match)
    if get_retained is not None:
        chosen.get_retained = get_retained
    return chosen


def _register_options(
    options: RegisterOptions | None, match: Match | str | None, invoke: Invoke | str | None, concurrency: int | None
) -> RegisterOptions:
    chosen = RegisterOptions() if options is None else copy(check_options(RegisterOptions, options))
    if match is not None:
        chosen.match = _choice(Match, match)
    if invoke is not None:
        chosen.invoke = _choice(Invoke, invoke)
    if concurrency is not None:
        chosen.concurrency = concurrency
    return chosen
