"""A client whose methods wait, for programs without an event loop: Flask, Django, scripts."""

from __future__ import annotations

import os
import sys
import threading
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import Any, Generic, TypeVar, Unpack, overload

from rocade.client.background import Background, background, refuse_green_threads
from rocade.client.callee import Registration as AsyncRegistration
from rocade.client.connect import DEFAULT_URL
from rocade.client.connect import connect as connect_async
from rocade.client.details import Event
from rocade.client.options import CallOptions, PublishOptions
from rocade.client.parameters import ConnectParameters
from rocade.client.reconnect import Reconnect
from rocade.client.session import Session
from rocade.client.subscriber import Subscription as AsyncSubscription
from rocade.errors import SessionClosed
from rocade.wamp.messages import Invoke

__all__ = ["Client", "Registration", "Stream", "Subscription", "connect"]

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")

# A site's process that has given up would have to be restarted by hand.
_FOR_EVER = Reconnect(max_refusals=sys.maxsize)


class Client:
    """A session with a router, for threads. It connects when it is first used.

    It may be made when a module is imported, and used by many threads at once. After a fork, the child process has a
    session of its own, as soon as it uses the client.
    """

    def __init__(self, url: str = DEFAULT_URL, realm: str = "realm1", **options: Unpack[ConnectParameters]) -> None:
        """
        Args:
            url: see `rocade.connect`.
            realm: name of the realm.
            **options: see `rocade.connect`. Hooks are called on the client's event loop. Other than there, sessions are
                not `resumable` by default: a process that was killed does not come back for its session, and calls
                would go there all the same for a while. And they are never given up, however often the router refuses.
        Raises:
            RuntimeError: gevent or eventlet have replaced threads by something else.
            ValueError: the URL or an option makes no sense.
        """
        refuse_green_threads()
        options = {"resumable": False, "reconnect": _FOR_EVER, **options}
        connect_async(url, realm, **options)  # says now what is wrong with them
        self.url = url
        self.realm = realm
        self._options = options
        # what decorators ask for, done in each process's session
        self._declared: list[Callable[[Session], Any]] = []
        self._lock = threading.RLock()
        self._opened: tuple[Background, Session] | None = None
        # how many attempts to open it have failed, and how the last one did
        self._failures = 0
        self._failure: Exception | None = None
        self._is_closed = False
        _clients.add(self)

    def __repr__(self) -> str:
        return f"<Client of {self.url}, realm {self.realm!r}>"

    def __enter__(self) -> Client:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    # --- life -------------------------------------------------------------------------------------

    def start(self) -> None:
        """Connect now, and register and subscribe what decorators ask for; does nothing the second time.

        Raises:
            ConnectionFailed, HandshakeRefused: there is no session.
            ApplicationError: the router refuses a registration or subscription.
            SessionClosed: the client was closed.
            RuntimeError: this thread runs an event loop, which must not be blocked.
        """
        self._open()

    def close(self) -> None:
        """Leave the realm and close the connection; there will be no other. Does nothing the second time.

        Raises:
            RuntimeError: this thread runs an event loop, which must not be blocked.
        """
        if self._opened is not None:
            self._opened[0].check_thread()
        with self._lock:
            self._is_closed = True
            opened, self._opened = self._opened, None
        if opened is not None:
            running, session = opened
            running.not_at_end(session.close)
            with suppress(SessionClosed):  # the program ends, and has closed it
                running.wait_for(session.close())

    @property
    def session(self) -> Session:
        """The session behind this, for what a blocking client has no method for; see `wait_for`."""
        return self._open()[1]

    def wait_for(self, use: Callable[[Session], Any]) -> Any:
        """Wait for what something returns that is done with the session behind this.

        Args:
            use: a coroutine function, such as `lambda session: session.get_events("com.example.log")`.
        """
        running, session = self._open()

        async def on_the_loop() -> Any:
            return await use(session)

        return running.wait_for(on_the_loop())

    def _open(self) -> tuple[Background, Session]:
        opened = self._opened
        if opened is not None:
            return opened
        running = background()
        running.check_thread()
        failures = self._failures
        with self._lock:
            if self._is_closed:
                raise SessionClosed("the client was closed")
            if self._opened is None:
                if self._failures != failures and self._failure is not None:
                    # While this thread waited for its turn, another one has tried, which would not go better now.
                    raise self._failure
                self._opened = running, self._connect(running)
            return self._opened

    def _connect(self, running: Background) -> Session:
        try:
            session = running.wait_for(self._connected())
        except Exception as error:
            self._failure = error
            self._failures += 1
            raise
        self._failure = None
        running.at_end(session.close)
        return session

    async def _connected(self) -> Session:
        session = await connect_async(self.url, self.realm, **self._options)
        try:
            for declared in self._declared:
                await declared(session)
        except BaseException:
            await session.close()
            raise
        return session

    def _after_fork(self) -> None:
        """The session is the parent process's, and so is its connection: we only let go of our handle on it."""
        self._lock = threading.RLock()
        opened, self._opened = self._opened, None
        self._failure = None
        if opened is None:
            return
        _inherited.append(opened)
        descriptor = opened[1].fileno()
        if descriptor >= 0:
            # As long as anybody has it open, the router believes in the connection. It is not closed, since the number
            # would be used again while objects of the parent's still know it.
            null = os.open(os.devnull, os.O_RDWR)
            os.dup2(null, descriptor, inheritable=False)
            os.close(null)

    # --- calls and events -------------------------------------------------------------------------

    def call(
        self,
        procedure: str,
        /,
        *args: Any,
        timeout: float | None = None,
        options: CallOptions | None = None,
        **kwargs: Any,
    ) -> Any:
        """Call a procedure and wait for its result. Ctrl-C cancels the call.

        Args, Returns and Raises: as for `Session.call`.
        """
        running, session = self._open()
        return running.wait_for(session.call(procedure, *args, timeout=timeout, options=options, **kwargs))

    def stream(
        self,
        procedure: str,
        /,
        *args: Any,
        timeout: float | None = None,
        options: CallOptions | None = None,
        **kwargs: Any,
    ) -> Stream[Any]:
        """Call a procedure and iterate over its progressive results. Leaving the loop cancels the call.

        Args and Raises: as for `Session.stream`.
        """
        running, session = self._open()
        return Stream(running, session.stream(procedure, *args, timeout=timeout, options=options, **kwargs))

    def publish(self, topic: str, /, *args: Any, options: PublishOptions | None = None, **kwargs: Any) -> int | None:
        """Publish an event; waits while the connection is full.

        Args, Returns and Raises: as for `Session.publish`.
        """
        running, session = self._open()
        return running.wait_for(session.publish(topic, *args, options=options, **kwargs))

    def events(self, topic: str, **options: Any) -> Stream[Event]:
        """Iterate over the events of a topic, from now on. Leaving the loop ends the subscription.

        Args and Raises: as for `Session.events`.
        """
        running, session = self._open()
        events = session.events(topic, **options)
        running.wait_for(events.__aenter__())
        return Stream(running, events)

    # --- handlers ---------------------------------------------------------------------------------

    @overload
    def register(self, function: str, procedure: None = None, **options: Any) -> Callable[[F], F]: ...
    @overload
    def register(self, function: Callable[..., Any], procedure: str, **options: Any) -> Registration: ...
    def register(self, function: Any, procedure: str | None = None, **options: Any) -> Any:
        """Offer a function as a procedure: `client.register(function, "com.example.add")`, at once; or as a decorator,
        `@client.register("com.example.add")`, when the client starts.

        Several processes of one program register the same, so calls are spread over all who do, unless `invoke` says
        otherwise ("single" lets nobody else register it).

        Args:
            function: a plain function, which runs in a thread; or the URI, as a decorator.
            procedure: the URI or pattern.
            **options: see `Session.register`.
        Raises: as for `Session.register`.
        """
        options.setdefault("invoke", Invoke.ROUNDROBIN)
        if isinstance(function, str):
            return self._decorator(Session.register, function, options)
        running, session = self._open()
        return Registration(running, running.wait_for(session.register(function, _uri(procedure), **options)))

    @overload
    def subscribe(self, function: str, topic: None = None, **options: Any) -> Callable[[F], F]: ...
    @overload
    def subscribe(self, function: Callable[..., Any], topic: str, **options: Any) -> Subscription: ...
    def subscribe(self, function: Any, topic: str | None = None, **options: Any) -> Any:
        """Have a function called for each event of a topic: `client.subscribe(function, "com.example.news")`, at once;
        or as a decorator, `@client.subscribe("com.example.news")`, when the client starts. Each process that has
        started its client gets each event.

        Args:
            function: a plain function, which runs in a thread; or the topic, as a decorator.
            topic: the URI or pattern.
            **options: see `Session.subscribe`.
        Raises: as for `Session.subscribe`.
        """
        if isinstance(function, str):
            return self._decorator(Session.subscribe, function, options)
        running, session = self._open()
        return Subscription(running, running.wait_for(session.subscribe(function, _uri(topic), **options)))

    def _decorator(self, method: Callable[..., Any], uri: str, options: dict[str, Any]) -> Callable[[F], F]:
        def declare(function: F) -> F:
            with self._lock:
                if self._opened is None:
                    self._declared.append(lambda session: method(session, function, uri, **options))
                    return function
            raise RuntimeError(
                f"the client has started already, so the decorator for {uri!r} comes too late: use decorators when "
                f"modules are imported, and client.{method.__name__}({getattr(function, '__name__', 'function')}, "
                f"{uri!r}) afterwards"
            )

        return declare


class Registration:
    """A procedure that a blocking client offers."""

    def __init__(self, running: Background, registration: AsyncRegistration) -> None:
        """Made by `Client.register`."""
        self._running = running
        self._registration = registration

    @property
    def procedure(self) -> str:
        """Its URI, or pattern."""
        return self._registration.procedure

    def unregister(self) -> None:
        """Offer it no longer. Invocations that run, run on."""
        self._running.wait_for(self._registration.unregister())


class Subscription:
    """A subscription of a blocking client."""

    def __init__(self, running: Background, subscription: AsyncSubscription) -> None:
        """Made by `Client.subscribe`."""
        self._running = running
        self._subscription = subscription

    @property
    def topic(self) -> str:
        """The topic or pattern."""
        return self._subscription.topic

    def unsubscribe(self) -> None:
        """End the subscription."""
        self._running.wait_for(self._subscription.unsubscribe())


class Stream(Generic[T]):
    """An iterator that waits for each item; `with` closes it at the end, and so does leaving it to the collector."""

    def __init__(self, running: Background, items: AsyncIterator[T]) -> None:
        """Made by `Client.stream` and `Client.events`."""
        self._running = running
        self._items = items
        self._finalizer = weakref.finalize(self, _abandon, running, items)
        self._finalizer.atexit = False

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        try:
            return self._running.wait_for(_next(self._items))
        except StopAsyncIteration:
            raise StopIteration from None

    def __enter__(self) -> Stream[T]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Cancel the call, or end the subscription."""
        if self._finalizer.detach() is not None:
            self._running.wait_for(_close(self._items))


async def _next(items: AsyncIterator[T]) -> T:
    return await anext(items)


async def _close(items: Any) -> None:
    await items.aclose()


def _abandon(running: Background, items: AsyncIterator[Any]) -> None:
    """Nobody has the iterator any more. The collector may run in any thread, so this does not wait."""
    running.start(partial(_close, items))


def _uri(uri: str | None) -> str:
    if uri is None:
        raise TypeError("the URI is missing, behind the function")
    return uri


def connect(url: str = DEFAULT_URL, realm: str = "realm1", **options: Unpack[ConnectParameters]) -> Client:
    """Connect to a router and open a session, for a program without an event loop.

    Args:
        url, realm, **options: see `rocade.connect`.
    Returns:
        A client that is connected; `with` closes it at the end.
    Raises:
        ConnectionFailed, HandshakeRefused: there is no session.
        RuntimeError: this thread runs an event loop, or gevent or eventlet have replaced threads by something else.
    """
    client = Client(url, realm, **options)
    client.start()
    return client


_clients: weakref.WeakSet[Client] = weakref.WeakSet()
# Sessions of the processes that this one was forked from, kept so that nothing runs their finalizers.
_inherited: list[tuple[Background, Session]] = []


def _after_fork() -> None:
    for client in list(_clients):
        client._after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
