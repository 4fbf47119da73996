"""Declared functions as the client runs them: with limits, with time limits, and with failures told in full."""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Protocol

from rocade.app.declarations import Procedure, Subscription, place
from rocade.app.pace import Debounce, Limit, Throttle
from rocade.app.report import shown_arguments
from rocade.client import threads
from rocade.client.details import CallDetails, Context, EventDetails
from rocade.client.errors import payload_of
from rocade.client.handlers import Handler, Kind
from rocade.client.threads import Threads
from rocade.errors import ApplicationError, CallTimeout, NoSuchProcedure

__all__ = ["EventEndpoint", "ProcedureEndpoint"]

_RUNTIME_ERROR = "wamp.error.runtime_error"
_UNAVAILABLE = "wamp.error.unavailable"
_Event = tuple[EventDetails, tuple[Any, ...], dict[str, Any]]

logger = logging.getLogger("rocade.app")


class Work(Protocol):
    """What endpoints need of the run of an application that they are in."""

    threads: Threads
    tells_callers: bool
    """Whether callers get to see the type and text of an exception, and its traceback."""

    def begin(self) -> None:
        """A handler begins."""

    def end(self) -> None:
        """A handler has ended."""

    def start(self, work: Any) -> asyncio.Task[Any]:
        """Run a coroutine beside everything else, until the run ends."""


class _Endpoint:
    """What those of procedures and of subscriptions have in common.

    Attributes:
        end: takes the registration, or the subscription, away; to be set once there is one.
    """

    def __init__(self, declared: Procedure | Subscription, work: Work) -> None:
        self.end: Callable[[], Awaitable[None]] | None = None
        self._handler = Handler(declared.function)
        self._work = work
        self._limit = None if declared.limit_calls is None else Limit(declared.limit_calls, self._exhausted)

    @property
    def is_exhausted(self) -> bool:
        """Whether it has run as often as it may."""
        return self._limit is not None and self._limit.is_exhausted

    def _exhausted(self) -> None:
        if self.end is not None:
            self._work.start(self.end())

    def _run(self, details: Context, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Awaitable[Any]:
        handler = self._handler
        if handler.wants_details:
            args = (details, *args)
        if handler.kind is Kind.COROUTINE:
            result: Awaitable[Any] = handler.function(*args, **kwargs)
            return result
        return self._work.threads.run(handler.function, args, kwargs)


class ProcedureEndpoint(_Endpoint):
    """A procedure's function, as it is registered.

    Attributes:
        declared: what was declared.
        function: what is given to the client in its place.
    """

    def __init__(self, declared: Procedure, work: Work) -> None:
        """
        Args:
            declared: the function and its options.
            work: the run that it belongs to.
        """
        super().__init__(declared, work)
        self.declared = declared
        is_generator = self._handler.kind in (Kind.ASYNC_GENERATOR, Kind.GENERATOR)
        self.function = _disguised(self._stream if is_generator else self._call, self._handler, CallDetails)

    async def _call(self, details: CallDetails, /, *args: Any, **kwargs: Any) -> Any:
        work = self._work
        work.begin()
        try:
            if self._limit is not None:
                await self._admit(self._limit)
            if self.declared.timeout is None:
                return await self._run(details, args, kwargs)
            async with asyncio.timeout(self.declared.timeout) as limit:
                return await self._run(details, args, kwargs)
        except Exception as error:
            if isinstance(error, TimeoutError) and self.declared.timeout is not None and limit.expired():
                raise self._too_long() from None
            reported = self._reported(error, details, args, kwargs)
            if reported is error:
                raise
            raise reported from None
        finally:
            work.end()

    async def _stream(self, details: CallDetails, /, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        work = self._work
        work.begin()
        try:
            if self._limit is not None:
                await self._admit(self._limit)
            async with asyncio.timeout(self.declared.timeout) as limit:
                items = self._items(details, args, kwargs)
                try:
                    async for item in items:
                        yield item
                finally:
                    await items.aclose()
        except Exception as error:
            if isinstance(error, TimeoutError) and limit.expired():
                raise self._too_long() from None
            reported = self._reported(error, details, args, kwargs)
            if reported is error:
                raise
            raise reported from None
        finally:
            work.end()

    def _items(self, details: CallDetails, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        handler = self._handler
        if handler.wants_details:
            args = (details, *args)
        generator = handler.function(*args, **kwargs)
        return generator if handler.kind is Kind.ASYNC_GENERATOR else self._work.threads.items(generator)

    # --- limits -----------------------------------------------------------------------------------

    async def _admit(self, limit: Limit) -> None:
        if not limit.take():
            text = f"{self.declared.uri} has been called as often as it may be"
            # Where there are other callees the router asks one of them instead.
            raise NoSuchProcedure(text) if self.declared.invoke == "single" else ApplicationError(_UNAVAILABLE, text)
        if limit.is_exhausted:
            # UNREGISTER goes out before this call is answered: who has the answer can rely on it.
            await asyncio.sleep(0)

    # --- failures ---------------------------------------------------------------------------------

    def _too_long(self) -> CallTimeout:
        declared = self.declared
        logger.warning(
            "%s took longer than %g s, called as %r", place(declared.function), declared.timeout, declared.uri
        )
        return CallTimeout(f"{declared.uri} took longer than {declared.timeout:g} s")

    def _reported(
        self, error: Exception, details: CallDetails, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Exception:
        """What the caller gets for an exception; what was not meant for the caller goes to the log, in full."""
        if payload_of(error) is not None:
            return error
        function = self.declared.function
        logger.error(
            "%s failed: %s called %s%s",
            place(function),
            _caller(details),
            details.procedure,
            shown_arguments(function, args, kwargs, skip=self._handler.wants_details),
            exc_info=_shortened(error),
        )
        if not self._work.tells_callers:
            return ApplicationError(_RUNTIME_ERROR, f"{details.procedure} failed")
        text = f"{details.procedure} failed: {type(error).__name__}: {error}"
        return ApplicationError(_RUNTIME_ERROR, text, traceback="".join(traceback.format_exception(error)))


class EventEndpoint(_Endpoint):
    """A subscription's function, as it is subscribed.

    Attributes:
        declared: what was declared.
        function: what is given to the client in its place.
    """

    def __init__(self, declared: Subscription, work: Work) -> None:
        """
        Args:
            declared: the function and its options.
            work: the run that it belongs to.
        Raises:
            TypeError: the function is a generator.
        """
        super().__init__(declared, work)
        self.declared = declared
        if self._handler.kind in (Kind.ASYNC_GENERATOR, Kind.GENERATOR):
            raise TypeError(f"{place(declared.function)} is a generator: an event has no results")
        self._slots = asyncio.Semaphore(declared.concurrency or 1)
        # What a debounced or throttled handler is to run with next.
        self._next: _Event | None = None
        self._pace: Debounce | Throttle | None = None
        if declared.debounce is not None:
            self._pace = Debounce(declared.debounce, self._start)
        elif declared.throttle is not None:
            self._pace = Throttle(declared.throttle, self._start)
        self.function = _disguised(self._event, self._handler, EventDetails)

    def flush(self) -> None:
        """Handle now what waits for its time."""
        if self._pace is not None:
            self._pace.flush()

    async def _event(self, details: EventDetails, /, *args: Any, **kwargs: Any) -> None:
        """An event has come; the next one comes when this returns."""
        if self._pace is not None:
            self._pace(details, *args, **kwargs)
        elif self.declared.concurrency is None or self.declared.concurrency == 1:
            await self._handle(details, args, kwargs)
        else:
            await self._slots.acquire()
            self._work.start(self._handle(details, args, kwargs)).add_done_callback(lambda _task: self._slots.release())

    def _start(self, details: EventDetails, /, *args: Any, **kwargs: Any) -> None:
        """Run now or, where as many run as may, with the latest event once one of them has ended."""
        event = details, args, kwargs
        if self._slots.locked():
            self._next = event
        else:
            self._work.start(self._in_turn(event))

    async def _in_turn(self, event: _Event) -> None:
        async with self._slots:
            await self._handle(*event)
            while self._next is not None:
                event, self._next = self._next, None
                await self._handle(*event)

    async def _handle(self, details: EventDetails, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if self._limit is not None and not self._limit.take():
            return
        declared, work = self.declared, self._work
        work.begin()
        try:
            async with asyncio.timeout(declared.timeout) as limit:
                await self._run(details, args, kwargs)
        except Exception as error:
            if isinstance(error, TimeoutError) and limit.expired():
                logger.warning(
                    "%s took longer than %g s, on %s", place(declared.function), declared.timeout, details.topic
                )
            else:
                self._report(error, details, args, kwargs)
        finally:
            work.end()

    def _report(self, error: Exception, details: EventDetails, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        function = self.declared.function
        logger.error(
            "%s failed: %s published %s%s, publication %d",
            place(function),
            _publisher(details),
            details.topic,
            shown_arguments(function, args, kwargs, skip=self._handler.wants_details),
            details.publication,
            exc_info=_shortened(error),
        )


def _disguised(stand_in: Callable[..., Any], handler: Handler, kind: type) -> Callable[..., Any]:
    """A function that looks like another, by its name and its parameters, and always takes details before them."""
    function = handler.function
    disguised: Any = functools.partial(stand_in)  # which, other than a method, can have attributes
    functools.update_wrapper(disguised, function)
    details = inspect.Parameter("details", inspect.Parameter.POSITIONAL_ONLY, annotation=kind)
    try:
        signature = inspect.signature(function)
    except ValueError:  # of some functions in C nobody knows
        signature = inspect.signature(_anything)
    parameters = list(signature.parameters.values())
    if handler.wants_details:
        del parameters[0]
    # A parameter's name may be used once; nothing depends on that of the details.
    while any(parameter.name == details.name for parameter in parameters):
        details = details.replace(name=f"{details.name}_")
    parameters = [details, *parameters]
    disguised.__signature__ = inspect.Signature(parameters)
    stands_in: Callable[..., Any] = disguised
    return stands_in


def _anything(*args: Any, **kwargs: Any) -> None: ...


def _shortened(error: Exception) -> tuple[type[Exception], Exception, Any]:
    """For the log: an exception without the frames of ours, which say nothing to the user."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None and trace.tb_frame.f_code.co_filename in _OURS:
        trace = trace.tb_next
    return type(error), error.with_traceback(trace), trace


def _caller(details: CallDetails) -> str:
    if details.caller is None:
        return "a caller who is not disclosed"
    return f"session {details.caller}{_who(details.caller_authid, details.caller_authrole)}"


def _publisher(details: EventDetails) -> str:
    if details.publisher is None:
        return "a publisher who is not disclosed"
    return f"session {details.publisher}{_who(details.publisher_authid, details.publisher_authrole)}"


def _who(authid: str | None, authrole: str | None) -> str:
    known = [text for text in (authid, authrole) if text]
    return f" ({', '.join(known)})" if known else ""


_OURS = frozenset({__file__, threads.__file__, asyncio.timeouts.__file__})
