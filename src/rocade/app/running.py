"""One run of an application: from its start to its end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any

from rocade.app.declarations import Procedure, Subscription, place
from rocade.app.endpoints import EventEndpoint, ProcedureEndpoint
from rocade.app.lifecycle import Listeners, accepted
from rocade.client.connect import connect, connect_in_memory
from rocade.client.handlers import Kind, kind_of
from rocade.client.options import RegisterOptions
from rocade.client.session import Session, in_join_hook
from rocade.client.threads import Threads
from rocade.errors import ApplicationError

if TYPE_CHECKING:
    from rocade.serve.embedded import EmbeddedRouter

__all__ = ["Run"]

STOP_SECONDS = 5.0
"""How long handlers that run have to end when the application stops."""

CANCEL_SECONDS = 1.0
"""How long handlers that are canceled are waited for."""

logger = logging.getLogger("rocade.app")


class Run:
    """An application at work. Its endpoints begin and end their work here.

    Attributes:
        loop: the event loop that it runs on.
        threads: where its plain functions run.
        tells_callers: whether callers get to see exceptions.
        session: its session; None until it has been joined.
    """

    def __init__(
        self,
        procedures: list[Procedure],
        subscriptions: list[Subscription],
        signals: Listeners,
        hooks: Listeners,
        *,
        agent: str | None,
        tells_callers: bool,
        threads: int,
    ) -> None:
        """
        Args:
            procedures, subscriptions, signals, hooks: what it has declared.
            agent: what the router is told about the program; None leaves that to the client.
            tells_callers: whether callers get to see exceptions.
            threads: how many plain functions run at the same time.
        """
        self.loop = asyncio.get_running_loop()
        self.threads = Threads(self.loop, threads)
        self.tells_callers = tells_callers
        self.session: Session | None = None
        self._procedures = [ProcedureEndpoint(declared, self) for declared in procedures]
        self._subscriptions = [EventEndpoint(declared, self) for declared in subscriptions]
        self._signals = signals
        self._hooks = hooks
        self._agent = agent
        self._tasks: set[asyncio.Task[Any]] = set()
        # What "onjoined" has started, and what the end of the session ends.
        self._while_joined: set[asyncio.Task[Any]] = set()
        self._is_set_up = False
        # Tasks of handlers that run.
        self._handlers: set[asyncio.Task[Any] | None] = set()
        # While somebody waits for there to be none.
        self._idle: asyncio.Event | None = None

    # --- what endpoints need ----------------------------------------------------------------------

    def begin(self) -> None:
        """A handler begins."""
        self._handlers.add(asyncio.current_task())

    def end(self) -> None:
        """A handler has ended."""
        self._handlers.discard(asyncio.current_task())
        if self._idle is not None and not self._handlers:
            self._idle.set()

    def is_work(self, task: asyncio.Task[Any] | None) -> bool:
        """Whether a task is that of a handler, or of what a signal has started: something that is ended here."""
        return task in self._handlers or task in self._while_joined or task in self._tasks

    def start(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run a coroutine beside everything else, until the run ends."""
        task = self.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    # --- start and stop ---------------------------------------------------------------------------

    async def begin_all(
        self,
        router: EmbeddedRouter | str,
        realm: str,
        connection: Mapping[str, Any],
        open_doors: Callable[[], Awaitable[None]] | None,
    ) -> None:
        """Join, register and subscribe everything, and be ready.

        Args:
            router: the URL of a router, or one of this process.
            realm: the realm's name.
            connection: further arguments of `connect`.
            open_doors: lets others join the router, if it is the application's own; when they do they find everything.
        Raises:
            Exception: whatever goes wrong; nothing is left behind.
        """
        try:
            await self.emit("app.starting")
            self.session = await self._connect(router, realm, connection)
            await self._set_up()
            self._is_set_up = True
            if open_doors is not None:
                await open_doors()
            await self._joined()
            await self.emit("app.ready")
        except BaseException:
            await self._leave()
            self.threads.close()
            raise

    async def end_all(self) -> None:
        """Stop: no new work, an end for the work there is, and goodbye. What fails is logged."""
        for function in self._hooks.of("app.stopping"):
            await self._told("app.stopping", function)
        await self._take_no_more()
        for endpoint in self._subscriptions:
            endpoint.flush()
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await self._wait_until_idle()
        except TimeoutError:
            count = len(self._handlers)
            text, is_or_are = ("1 handler still runs", "is") if count == 1 else (f"{count} handlers still run", "are")
            logger.warning("%s after %g s and %s canceled", text, STOP_SECONDS, is_or_are)
        await self._leave()
        for function in self._hooks.of("app.stopped"):
            await self._told("app.stopped", function)
        self.threads.close()

    async def _wait_until_idle(self) -> None:
        while self._handlers:
            self._idle = asyncio.Event()
            await self._idle.wait()

    async def _connect(self, router: EmbeddedRouter | str, realm: str, connection: Mapping[str, Any]) -> Session:
        hooks = {
            "on_connect": self._connected,
            "on_join": self._rejoined,
            "on_leave": self._left,
            "on_disconnect": self._disconnected,
        }
        for name in hooks:
            if name in connection:
                raise TypeError(f"{name} is for rocade.connect; an application has @app.signal")
        options = {**connection, **hooks}
        options.setdefault("agent", self._agent)
        if isinstance(router, str):
            return await connect(router, realm, **options)
        return await connect_in_memory(router.entrance, realm, **options)

    async def _set_up(self) -> None:
        """Register and subscribe everything, all at once."""
        works = [self._register(endpoint) for endpoint in self._procedures]
        works += [self._subscribe(endpoint) for endpoint in self._subscriptions]
        results = await asyncio.gather(*works, return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result

    async def _register(self, endpoint: ProcedureEndpoint) -> None:
        declared = endpoint.declared
        assert self.session is not None
        try:
            registration = await self.session.register(
                endpoint.function,
                declared.uri,
                options=RegisterOptions(disclose_caller=declared.disclose_caller or None),
                match=declared.match,
                invoke=declared.invoke,
                concurrency=declared.concurrency,
            )
        except ApplicationError as error:
            error.add_note(f"while {place(declared.function)} was registered as {declared.uri!r}")
            raise
        endpoint.end = registration.unregister
        if endpoint.is_exhausted:  # by calls that came with the router's answer
            await registration.unregister()

    async def _subscribe(self, endpoint: EventEndpoint) -> None:
        declared = endpoint.declared
        assert self.session is not None
        try:
            subscription = await self.session.subscribe(
                endpoint.function, declared.uri, match=declared.match, get_retained=declared.get_retained or None
            )
        except ApplicationError as error:
            error.add_note(f"while {place(declared.function)} was subscribed to {declared.uri!r}")
            raise
        endpoint.end = subscription.unsubscribe
        if endpoint.is_exhausted:  # by events that came with the router's answer
            await subscription.unsubscribe()

    async def _take_no_more(self) -> None:
        """Unregister and unsubscribe everything. Calls that have arrived are still answered."""
        if self.session is None or not self.session.is_open:
            return
        works = [endpoint.end() for endpoint in (*self._procedures, *self._subscriptions) if endpoint.end is not None]
        try:
            async with asyncio.timeout(STOP_SECONDS):
                results = await asyncio.gather(*works, return_exceptions=True)
        except TimeoutError:
            logger.warning("not everything could be unregistered: the router does not answer")
            return
        for result in results:
            if isinstance(result, BaseException):
                logger.warning("not everything could be unregistered: %s", result)
                return

    async def _leave(self) -> None:
        if self.session is not None:
            await self.session.close()
        for task in [*self._tasks, *self._while_joined]:
            task.cancel()
        await asyncio.gather(*self._tasks, *self._while_joined, return_exceptions=True)

    # --- signals and hooks ------------------------------------------------------------------------

    async def emit(self, name: str, *args: Any) -> None:
        """Call the functions that wait for something, one after the other, and wait for each."""
        for function in self._hooks.of(name):
            await self._invoke(function, args)

    async def _connected(self, session: Session) -> None:
        self.session = session
        for function in self._signals.of("onconnect"):
            await self._told("onconnect", function, session)

    async def _rejoined(self, session: Session) -> None:
        self.session = session
        if self._is_set_up:
            await self._joined()

    async def _joined(self) -> None:
        """Tell of the session. Coroutine functions may go on for as long as it does; plain ones are waited for."""
        # They are called again in the next session, so what they register now is not to be restored there.
        token = in_join_hook.set(True)
        try:
            await self._tell_joined()
        finally:
            in_join_hook.reset(token)

    async def _tell_joined(self) -> None:
        for function in self._signals.of("onjoined"):
            if kind_of(function) is not Kind.COROUTINE:
                await self._told("onjoined", function, self.session)
                continue
            task = self.loop.create_task(self._told("onjoined", function, self.session))
            self._while_joined.add(task)
            task.add_done_callback(self._while_joined.discard)
            await asyncio.sleep(0)  # in the order of their declaration

    async def _left(self, session: Session, reason: str) -> None:
        ended = self._while_joined - {asyncio.current_task()}
        for task in ended:
            task.cancel()
        if ended:
            await asyncio.wait(ended, timeout=CANCEL_SECONDS)
        for function in self._signals.of("onleave"):
            await self._told("onleave", function, session, reason)

    async def _disconnected(self, session: Session, reason: str) -> None:
        for function in self._signals.of("ondisconnect"):
            await self._told("ondisconnect", function, session, reason)

    async def _told(self, name: str, function: Callable[..., Any], *args: Any) -> None:
        """Tell a function; what goes wrong there is logged."""
        try:
            await self._invoke(function, args)
        except Exception:
            logger.exception("%s failed at %r", place(function), name)

    async def _invoke(self, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
        taken = accepted(function, args)
        if kind_of(function) is Kind.COROUTINE:
            await function(*taken)
        else:
            await self.threads.run(function, taken)
