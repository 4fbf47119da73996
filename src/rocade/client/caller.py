"""The caller: calls under way, streams of progressive results and of progressive arguments."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Sequence
from typing import Any

from rocade.client.channel import Channel, fail
from rocade.client.codec import Error, Result, Unreadable
from rocade.client.details import CallResult
from rocade.client.errors import exception_for
from rocade.client.inbox import Inbox, NothingMore
from rocade.client.options import CallOptions, check_options
from rocade.errors import ApplicationError, CallTimeout, InvalidMessage
from rocade.wamp.messages import Call, Cancel, CancelOptions
from rocade.wamp.messages import CallOptions as WireCallOptions

__all__ = ["Caller"]

_CALL = 48
_NO_OPTIONS = WireCallOptions()
_DEFAULT = CallOptions()

logger = logging.getLogger("rocade.client")


class Caller:
    """Calls of one client."""

    def __init__(self, channel: Channel) -> None:
        """
        Args:
            channel: the client's messages.
        """
        self._channel = channel
        self._loop = channel.loop
        # CALL.Request -> who waits for the result
        self._calls: dict[int, asyncio.Future[Any]] = {}
        # CALL.Request -> who is told of progressive results
        self._progress: dict[int, Callable[..., None]] = {}
        # CALL.Request -> where progressive results go
        self._streams: dict[int, Inbox[Any]] = {}
        channel.handlers[Result] = self._result
        channel.error_handlers[_CALL] = self._error
        channel.on_lost.append(self._lost)

    async def call(
        self,
        procedure: str,
        args: Sequence[Any],
        kwargs: dict[str, Any],
        timeout: float | None,
        options: CallOptions | None,
    ) -> Any:
        """See `Session.call`."""
        channel = self._channel
        if options is None:
            options = _DEFAULT
            wire = _NO_OPTIONS if timeout is None else options.wire(timeout)
        else:
            check_options(CallOptions, options)
            timeout = options.timeout if timeout is None else timeout
            wire = options.wire(timeout)
            if options.on_progress is not None:
                wire.receive_progress = True
        if timeout is not None:
            return await self._call_within(timeout, procedure, args, kwargs, options, wire)
        if not channel.is_open or channel.outbox.is_full:
            await channel.ready()
        return await self._call_now(procedure, args, kwargs, options, wire)

    async def _call_now(
        self,
        procedure: str,
        args: Sequence[Any],
        kwargs: dict[str, Any],
        options: CallOptions,
        wire: WireCallOptions,
    ) -> Any:
        channel = self._channel
        request = channel.send_request(Call, wire, procedure, args, kwargs)
        future = self._calls[request] = self._loop.create_future()
        epoch = channel.epoch
        if options.on_progress is not None:
            self._progress[request] = options.on_progress
        try:
            return await future
        except asyncio.CancelledError:
            self._give_up(request, epoch, options)
            raise
        finally:
            if self._progress:
                self._progress.pop(request, None)

    async def _call_within(
        self,
        timeout: float,
        procedure: str,
        args: Sequence[Any],
        kwargs: dict[str, Any],
        options: CallOptions,
        wire: WireCallOptions,
    ) -> Any:
        # The router knows the timeout, too; this one is for when it cannot be reached.
        channel = self._channel
        try:
            async with asyncio.timeout(timeout):
                await channel.ready()
                return await self._call_now(procedure, args, kwargs, options, wire)
        except CallTimeout:
            raise
        except TimeoutError:
            raise CallTimeout(f"no result within {timeout:g} s") from None

    def _give_up(self, request: int, epoch: int, options: CallOptions) -> None:
        """Cancel a call that nobody waits for any more."""
        known = self._calls.pop(request, None) or self._streams.pop(request, None)
        if known is not None and epoch == self._channel.epoch:
            self._channel.send(Cancel(request, CancelOptions(mode=options.cancel_mode)))

    # --- streams ----------------------------------------------------------------------------------

    async def stream(
        self,
        procedure: str,
        args: Sequence[Any],
        kwargs: dict[str, Any],
        timeout: float | None,
        options: CallOptions | None,
    ) -> AsyncGenerator[Any, None]:
        """See `Session.stream`."""
        options = options or _DEFAULT
        timeout = options.timeout if timeout is None else timeout
        index = next((index for index, value in enumerate(args) if isinstance(value, AsyncIterable)), None)
        running = _Running(procedure, args, kwargs, timeout, options)
        feeder: asyncio.Task[None] | None = None
        await self._channel.ready()
        if index is None:
            self._begin(running, args)
        else:
            feeder = self._loop.create_task(self._feed(running, index))
        try:
            while True:
                try:
                    yield await running.inbox.get()
                except NothingMore:
                    return
        finally:
            if feeder is not None:
                feeder.cancel()
            if self._streams.get(running.request) is running.inbox:
                self._give_up(running.request, running.epoch, options)

    def _begin(self, running: _Running, args: Sequence[Any], *, progress: bool | None = None) -> None:
        """Send the first CALL, or the only one; `progress` says that others follow."""
        wire = running.options.wire(running.timeout, receive_progress=True, progress=progress)
        running.request = self._channel.send_request(Call, wire, running.procedure, args, running.kwargs)
        running.epoch = self._channel.epoch
        self._streams[running.request] = running.inbox

    async def _feed(self, running: _Running, index: int) -> None:
        """Call progressively: one CALL for each item, of which the last is empty (progressive call invocations)."""
        channel, options = self._channel, running.options
        before, items, after = running.args[:index], running.args[index], running.args[index + 1 :]
        try:
            if not channel.supports("dealer", "progressive_call_invocations"):
                raise ApplicationError(
                    "wamp.error.feature_not_supported", "the router has no progressive call invocations"
                )
            wire = options.wire(running.timeout, receive_progress=True, progress=True)
            async for item in items:
                await channel.ready()
                args = [*before, item, *after]
                if running.request == 0:
                    self._begin(running, args, progress=True)
                elif running.request in self._streams and running.epoch == channel.epoch:
                    channel.send(Call(running.request, wire, running.procedure, args, running.kwargs))
                else:
                    return  # the call has ended before its arguments did
            if running.request == 0:
                self._begin(running, [*before, *after])
            elif running.request in self._streams and running.epoch == channel.epoch:
                wire = options.wire(running.timeout, receive_progress=True)
                channel.send(Call(running.request, wire, running.procedure))
        except Exception as error:
            self._give_up(running.request, running.epoch, options)
            running.inbox.end(error)

    # --- answers ----------------------------------------------------------------------------------

    def _result(self, message: Result) -> None:
        request = message.request
        if message.details.progress:
            tell = self._progress.get(request)
            if tell is not None:
                self._tell(tell, message)
            inbox = self._streams.get(request)
            if inbox is not None and not inbox.put(_value(message), self._channel.size):
                self._overflow(request, inbox)
            return
        future = self._calls.pop(request, None)
        if future is not None:
            if not future.done():
                if type(message.args) is Unreadable:
                    future.set_exception(InvalidMessage(message.args[0]))
                else:
                    future.set_result(_value(message))
            return
        inbox = self._streams.pop(request, None)
        if inbox is not None:
            if message.args or message.kwargs:
                inbox.put(_value(message), 0)
            inbox.end()

    def _tell(self, tell: Callable[..., None], message: Result) -> None:
        try:
            tell(*message.args, **message.kwargs)
        except Exception:
            logger.exception("on_progress failed")

    def _overflow(self, request: int, inbox: Inbox[Any]) -> None:
        """A stream is not read as fast as it comes, and there is no way to slow the callee down: end it."""
        self._give_up(request, self._channel.epoch, _DEFAULT)
        inbox.end(ApplicationError("rocade.error.slow_reader", "progressive results came faster than they were read"))

    def _error(self, message: Error) -> None:
        future = self._calls.pop(message.request, None)
        if future is not None:
            if not future.done():
                future.set_exception(exception_for(message.error, message.args, message.kwargs))
            return
        inbox = self._streams.pop(message.request, None)
        if inbox is not None:
            inbox.end(exception_for(message.error, message.args, message.kwargs))

    def _lost(self, error: Exception) -> None:
        calls, self._calls = self._calls, {}
        streams, self._streams = self._streams, {}
        for future in calls.values():
            fail(future, error)
        for inbox in streams.values():
            inbox.end(type(error)(*error.args))


class _Running:
    """A call whose progressive results are read."""

    __slots__ = ("args", "epoch", "inbox", "kwargs", "options", "procedure", "request", "timeout")

    def __init__(
        self,
        procedure: str,
        args: Sequence[Any],
        kwargs: dict[str, Any],
        timeout: float | None,
        options: CallOptions,
    ) -> None:
        self.procedure = procedure
        self.args = args
        self.kwargs = kwargs
        self.timeout = timeout
        self.options = options
        self.inbox: Inbox[Any] = Inbox()
        # None yet.
        self.request = 0
        self.epoch = 0


def _value(message: Result) -> Any:
    """What a result is to Python: its only value, or all of them."""
    args = message.args
    if message.kwargs:
        return CallResult(*args, **message.kwargs)
    if len(args) == 1:
        return args[0]
    return CallResult(*args) if args else None
