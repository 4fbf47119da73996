"""The callee: registrations, and the invocations that run."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rocade.client.channel import Channel
from rocade.client.codec import Invocation, Unreadable
from rocade.client.details import CallDetails, CallResult
from rocade.client.errors import payload_of
from rocade.client.handlers import Handler, Kind
from rocade.client.inbox import Inbox, NothingMore
from rocade.client.options import RegisterOptions
from rocade.client.tasks import start_task
from rocade.client.threads import NoThreads, Threads
from rocade.errors import ApplicationError, InvalidArgument, PayloadNotSerializable, ProtocolViolation
from rocade.wamp.messages import (
    Error,
    Interrupt,
    PassthruDetails,
    Register,
    Registered,
    Unregister,
    Unregistered,
    Yield,
    YieldOptions,
)

if TYPE_CHECKING:
    from rocade.client.session import Session

__all__ = ["Callee", "Registration"]

MAX_INVOCATIONS = 10_000
"""Invocations that run or wait for a thread, all registrations together, before others are declined."""

MAX_COLLECTED = 100_000
"""Results of a generator for a caller that takes no progressive ones, and gets them as a list."""

_INVOCATION = 68
_PLAIN = YieldOptions()
_PROGRESS = YieldOptions(progress=True)
_NO_DETAILS = PassthruDetails()

logger = logging.getLogger("rocade.client")


class Registration:
    """A procedure that this client offers.

    Attributes:
        procedure: its URI, or pattern.
        options: as it was asked for.
        id: the router's; 0 while there is no session.
    """

    def __init__(
        self,
        callee: Callee,
        handler: Handler,
        procedure: str,
        options: RegisterOptions,
        *,
        is_kept: bool,
        traceback: bool,
    ) -> None:
        """Made by `Session.register`."""
        self.procedure = procedure
        self.options = options
        self.id = 0
        self.handler = handler
        self.is_kept = is_kept
        self.is_active = True
        self.traceback = traceback
        self._callee = callee

    def __repr__(self) -> str:
        return f"<Registration {self.procedure!r}>"

    async def unregister(self) -> None:
        """Offer it no longer. Invocations that run, run on."""
        if self.is_active:
            self.is_active = False
            await self._callee.remove(self)


class _Running:
    """One invocation."""

    __slots__ = ("epoch", "future", "inbox", "is_canceled", "registration", "request", "wants_progress")

    def __init__(self, message: Invocation, registration: Registration, epoch: int) -> None:
        self.request = message.request
        self.registration = registration
        self.epoch = epoch
        self.wants_progress = bool(message.details.receive_progress)
        self.is_canceled = False
        # The task, or what a thread works on.
        self.future: asyncio.Future[Any] | None = None
        # Where its further arguments go.
        self.inbox: Inbox[Any] | None = None


class Callee:
    """Registrations and invocations of one client."""

    def __init__(self, channel: Channel, session: Session, threads: Threads) -> None:
        """
        Args:
            channel: the client's messages.
            session: for the details of calls.
            threads: where plain functions run.
        """
        self._channel = channel
        self._session = session
        self._threads = threads
        # registration id -> registration
        self._by_id: dict[int, Registration] = {}
        self._all: dict[Registration, None] = {}
        # INVOCATION.Request -> what runs
        self._running: dict[int, _Running] = {}
        channel.handlers[Invocation] = self._invocation
        channel.handlers[Interrupt] = self._interrupt
        channel.handlers[Unregistered] = self._unregistered
        self._answered = channel.handlers[Registered]
        channel.on_lost.append(self._lost)

    # --- registrations ----------------------------------------------------------------------------

    async def register(
        self, function: Callable[..., Any], procedure: str, options: RegisterOptions, *, is_kept: bool, traceback: bool
    ) -> Registration:
        """See `Session.register`."""
        registration = Registration(self, Handler(function), procedure, options, is_kept=is_kept, traceback=traceback)
        await self.add(registration)
        return registration

    async def add(self, registration: Registration) -> None:
        """Have the router send invocations; those that follow its answer at once find their way."""

        def registered(message: Registered) -> None:
            self._by_id[message.registration] = registration
            if registration.is_active:
                registration.id = message.registration
                self._all[registration] = None
            else:  # nobody waited for it in the end
                self._channel.request_unheard(Unregister, message.registration)

        try:
            await self._channel.request(Register, registration.options, registration.procedure, then=registered)
        except BaseException:
            if registration not in self._all:
                registration.is_active = False
            raise

    async def remove(self, registration: Registration) -> None:
        """Have the router send no more."""
        self._all.pop(registration, None)
        id, registration.id = registration.id, 0
        if not id:
            return

        def unregistered(_: Unregistered) -> None:
            # Not before: until then the router sends invocations.
            self._by_id.pop(id, None)

        if self._channel.is_open:
            await self._channel.request(Unregister, id, then=unregistered)
        else:
            self._channel.request_unheard(Unregister, id, then=unregistered)

    def _unregistered(self, message: Unregistered) -> None:
        if message.request:
            self._answered(message)
            return
        # The router ended it (registration revocation).
        id = message.details.registration if message.details is not None else None
        registration = self._by_id.pop(id or 0, None)
        if registration is not None:
            registration.is_active = False
            registration.id = 0
            self._all.pop(registration, None)
            logger.warning("the router ended the registration of %r", registration.procedure)

    # --- invocations ------------------------------------------------------------------------------

    def _invocation(self, message: Invocation) -> None:
        running = self._running.get(message.request)
        if running is not None:
            self._more_arguments(running, message)
            return
        registration = self._by_id.get(message.registration)
        if registration is None:
            raise ProtocolViolation(f"INVOCATION of registration {message.registration}, which there is not")
        running = self._running[message.request] = _Running(message, registration, self._channel.epoch)
        try:
            if len(self._running) > MAX_INVOCATIONS:
                raise ApplicationError("wamp.error.unavailable", f"{MAX_INVOCATIONS} invocations run already")
            args, kwargs = self._arguments(running, message)
        except Exception as error:
            self._fail(running, error)
            return
        try:
            self._start(running, args, kwargs)
        except NoThreads as error:
            self._fail(running, error)

    def _arguments(self, running: _Running, message: Invocation) -> tuple[Sequence[Any], Mapping[str, Any]]:
        handler = running.registration.handler
        args, kwargs = message.args, message.kwargs
        if type(args) is Unreadable:
            raise InvalidArgument(args[0])
        stream = None
        if handler.takes_stream:
            stream = self._open_stream(running, handler, message, args)
        elif message.details.progress:
            raise InvalidArgument("it takes no progressive calls: no parameter is an AsyncIterator")
        bound, keywords = handler.bind(args, kwargs, stream)
        if handler.wants_details:
            bound = (self._details(running, message), *bound)
        return bound, keywords

    def _start(self, running: _Running, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        handler = running.registration.handler
        if handler.kind is Kind.PLAIN:
            running.future = self._threads.run(handler.function, args, kwargs)
            running.future.add_done_callback(lambda future: self._returned(running, future))
        else:
            run = self._run if handler.kind is Kind.COROUTINE else self._run_generator
            running.future = start_task(self._channel.loop, run(running, handler, args, kwargs))

    async def _run(self, running: _Running, handler: Handler, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        try:
            result = await handler.function(*args, **kwargs)
        except asyncio.CancelledError:
            self._canceled(running)
            if not running.is_canceled:
                raise
        except Exception as error:
            self._fail(running, error)
        else:
            self._yield(running, result)

    async def _run_generator(
        self, running: _Running, handler: Handler, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> None:
        """Yield what a generator does: as progressive results, or all together for those who take none."""
        results: list[Any] = []
        generator = handler.function(*args, **kwargs)
        items = generator if handler.kind is Kind.ASYNC_GENERATOR else self._threads.items(generator)
        try:
            async for item in items:
                if running.wants_progress:
                    await self._send_progress(running, *_payload(item))
                elif len(results) < MAX_COLLECTED:
                    results.append(item)
                else:
                    raise ApplicationError(
                        "wamp.error.payload_size_exceeded", "too many results; call it with progressive results"
                    )
        except asyncio.CancelledError:
            self._canceled(running)
            if not running.is_canceled:
                raise
        except Exception as error:
            self._fail(running, error)
        else:
            self._yield(running, CallResult() if running.wants_progress else results)
        finally:
            await items.aclose()

    def _returned(self, running: _Running, future: asyncio.Future[Any]) -> None:
        """A plain function has come to its end."""
        if running.is_canceled or future.cancelled():
            self._canceled(running)
            if not future.cancelled():
                future.exception()
            return
        error = future.exception()
        if error is None:
            self._yield(running, future.result())
        else:
            self._fail(running, error)

    # --- answers ----------------------------------------------------------------------------------

    def _is_over(self, running: _Running) -> bool:
        """Whether nobody waits for the answer any more; after it, nobody does."""
        if running.inbox is not None:
            running.inbox.end()
        is_known = self._running.get(running.request) is running
        if is_known:
            del self._running[running.request]
        return not is_known or running.epoch != self._channel.epoch

    def _yield(self, running: _Running, result: Any) -> None:
        if self._is_over(running):
            return
        args, kwargs = _payload(result)
        try:
            self._channel.send(Yield(running.request, _PLAIN, args, kwargs))  # type: ignore[arg-type]
        except PayloadNotSerializable as error:
            logger.error("%s returned what cannot be sent: %s", running.registration.handler.name, error)
            self._answer_error(running, error.uri, [str(error)], {})

    async def _send_progress(self, running: _Running, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        channel = self._channel
        if channel.outbox.is_full:
            await channel.ready()
        if running.epoch == channel.epoch and self._running.get(running.request) is running:
            channel.send(Yield(running.request, _PROGRESS, args, kwargs))  # type: ignore[arg-type]

    def _canceled(self, running: _Running) -> None:
        if not self._is_over(running):
            self._answer_error(running, "wamp.error.canceled", ["the invocation was interrupted"], {})

    def _fail(self, running: _Running, error: BaseException) -> None:
        """Answer with what an exception is mapped to; what is not mapped is for the log here, not for the caller."""
        if self._is_over(running):
            return
        registration = running.registration
        mapped = payload_of(error)
        if mapped is None:
            logger.error("%s failed, called as %r", registration.handler.name, registration.procedure, exc_info=error)
            uri, args, kwargs = "wamp.error.runtime_error", [f"{registration.procedure} failed"], dict[str, Any]()
            if registration.traceback:
                args = [f"{type(error).__name__}: {error}"]
        else:
            uri, args, kwargs = mapped[0], list(mapped[1]), dict(mapped[2])
        if registration.traceback:
            kwargs["traceback"] = "".join(traceback.format_exception(error))
        try:
            self._answer_error(running, uri, args, kwargs)
        except PayloadNotSerializable as failure:
            logger.error("%s raised what cannot be sent: %s", registration.handler.name, failure)
            self._answer_error(running, uri, [str(error)], {})

    def _answer_error(self, running: _Running, uri: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        self._channel.send(Error(_INVOCATION, running.request, _NO_DETAILS, uri, list(args), dict(kwargs)))

    # --- interrupts, and the end ------------------------------------------------------------------

    def _interrupt(self, message: Interrupt) -> None:
        running = self._running.get(message.request)
        if running is None:
            return  # the answer is on its way
        running.is_canceled = True
        if running.registration.handler.kind is Kind.PLAIN:
            # A thread cannot be stopped, so nobody waits for it.
            self._canceled(running)
        if running.future is not None:
            running.future.cancel()

    def _lost(self, error: Exception) -> None:
        self._by_id.clear()
        for running in self._running.values():
            if running.inbox is not None:
                running.inbox.end(type(error)(*error.args))
        # What runs, runs to its end; the answers are dropped.
        self._running.clear()
        for registration in self._all:
            registration.id = 0

    async def restore(self) -> list[Registration]:
        """Register again, in a new session; those that the router refused."""
        for registration in [registration for registration in self._all if not registration.is_kept]:
            del self._all[registration]
            registration.is_active = False
        refused = []
        for registration in list(self._all):
            if registration.is_active and not registration.id:
                try:
                    await self.add(registration)
                except ApplicationError as error:
                    logger.warning("%r could not be registered again: %s", registration.procedure, error)
                    refused.append(registration)
        return refused

    def close(self) -> list[asyncio.Future[Any]]:
        """Cancel what runs, except for whoever calls this; those to wait for."""
        current = asyncio.current_task()
        canceled = [running for running in self._running.values() if running.future not in (None, current)]
        for running in canceled:
            running.is_canceled = True
        futures = [running.future for running in canceled if running.future is not None]
        for future in futures:
            future.cancel()
        return futures

    # --- arguments and details --------------------------------------------------------------------

    def _open_stream(
        self, running: _Running, handler: Handler, message: Invocation, args: list[Any]
    ) -> AsyncIterator[Any]:
        """The arguments to come, of which the first is among these."""
        inbox = running.inbox = Inbox[Any]()
        if len(args) > handler.stream_index:
            inbox.put(handler.item(args.pop(handler.stream_index)), 0)
        if not message.details.progress:
            inbox.end()
        return _read(inbox)

    def _more_arguments(self, running: _Running, message: Invocation) -> None:
        if running.inbox is None:
            return
        handler = running.registration.handler
        try:
            args = message.args
            index = handler.stream_index
            if len(args) > index and not running.inbox.put(handler.item(args[index]), self._channel.size):
                raise ApplicationError("rocade.error.slow_reader", "arguments came faster than they were read")
            if not message.details.progress:
                running.inbox.end()
        except Exception as error:
            self._fail(running, error)
            if running.future is not None:
                running.future.cancel()

    def _details(self, running: _Running, message: Invocation) -> CallDetails:
        details = message.details

        def send(args: Sequence[Any], kwargs: Mapping[str, Any]) -> Coroutine[Any, Any, None]:
            return self._send_progress(running, args, kwargs)

        return CallDetails(
            session=self._session,
            procedure=details.procedure or running.registration.procedure,
            caller=details.caller,
            caller_authid=details.caller_authid,
            caller_authrole=details.caller_authrole,
            trustlevel=details.trustlevel,
            timeout=None if details.timeout is None else details.timeout / 1000,
            wants_progress=running.wants_progress,
            send_progress=send,
        )


async def _read(inbox: Inbox[Any]) -> AsyncIterator[Any]:
    while True:
        try:
            item = await inbox.get()
        except NothingMore:
            return
        yield item


def _payload(result: Any) -> tuple[Sequence[Any], Mapping[str, Any]]:
    """A function's result as `args` and `kwargs`: None is nothing at all."""
    if type(result) is CallResult:
        return list(result.args), dict(result.kwargs)
    return ([] if result is None else [result]), {}
