"""Client programs under the control of a test: join, call, publish and be called, all from the test's side.

A `Driver` is a process that runs one client library and can hold many sessions; `lines` says what is spoken with it.
Everything here waits at most `PATIENCE_S` and says what it waited for.
"""

from __future__ import annotations

import queue
import subprocess
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

from .lines import dump_line, load_line
from .router import PATIENCE_S

T = TypeVar("T")


class Refused(Exception):
    """What a client raised: an ERROR or ABORT of the router, or a complaint of its own.

    Attributes:
        uri: the error URI; empty for a complaint of the client itself.
        args_: the error's arguments.
        kwargs: its keyword arguments.
    """

    def __init__(self, uri: str, args: list[Any], kwargs: dict[str, Any], message: str) -> None:
        super().__init__(f"{uri} {args} {kwargs} {message}")
        self.uri = uri
        self.args_ = args
        self.kwargs = kwargs


@dataclass
class Payload:
    """Arguments of an event, or of a result."""

    args: list[Any]
    kwargs: dict[str, Any]


@dataclass
class Event(Payload):
    """An event as the client delivered it, with those details that its library passes on."""

    details: dict[str, Any]


class Driver:
    """A process that is one or more WAMP clients of one library."""

    def __init__(self, command: Sequence[str | Path], log: Path) -> None:
        """
        Args:
            command: starts it.
            log: file for what it writes to standard error.
        """
        self.log = log
        self._output = log.open("wb")
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._output, bufsize=0
        )
        self._ids = count(1)
        self._write = threading.Lock()
        # command id -> its reply
        self._replies: dict[int, Future[Any]] = {}
        # command id of a call -> its progressive results
        self._progress: dict[int, queue.SimpleQueue[Payload]] = {}
        # handler -> what gets its events or invocations
        self._handlers: dict[int, Callable[[dict[str, Any]], None]] = {}
        # invocation -> set when its endpoint is told to stop
        self._interrupts: dict[int, threading.Event] = {}
        # session -> how it ended
        self._endings: dict[str, Future[dict[str, Any]]] = {}
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def join(self, realm: str, **where: Any) -> Session:
        """Open a session.

        Args:
            realm: the realm.
            where: what the program needs to know of the transport and the serializer.
        Raises:
            Refused: the router did not let it in.
        """
        name = f"s{next(self._ids)}"
        self._endings[name] = Future()
        return Session(self, name, self.ask("join", session=name, realm=realm, **where))

    def ask(self, do: str, **fields: Any) -> Any:
        """Have a command carried out, and wait for its outcome."""
        return self.answer(self.tell(do, **fields)[1], do)

    def tell(self, do: str, **fields: Any) -> tuple[int, Future[Any]]:
        """Have a command carried out."""
        id = next(self._ids)
        reply = self._replies[id] = Future()
        if do == "call":
            self._progress[id] = queue.SimpleQueue()
        with self._write:
            assert self._process.stdin is not None
            line = memoryview(dump_line({"id": id, "do": do, **fields}))
            while line:
                line = line[self._process.stdin.write(line) :]
        return id, reply

    def answer(self, future: Future[T], what: str) -> T:
        """What a future comes to."""
        try:
            return future.result(PATIENCE_S)
        except TimeoutError:
            raise AssertionError(f"no answer to {what!r} within {PATIENCE_S} s{self._last_words()}") from None

    def next_of(self, source: queue.SimpleQueue[T], what: str) -> T:
        """The next thing in a queue."""
        try:
            return source.get(timeout=PATIENCE_S)
        except queue.Empty:
            raise AssertionError(f"no {what} within {PATIENCE_S} s{self._last_words()}") from None

    def stop(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join(PATIENCE_S)
        self._process.stdout.close()
        self._output.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        lines = self._process.stdout
        buffer = bytearray()
        while chunk := lines.read(1 << 20):
            buffer += chunk
            while (end := buffer.find(b"\n")) >= 0:
                line = bytes(buffer[:end])
                del buffer[: end + 1]
                self._received(load_line(line))
        dead = AssertionError(f"the client program has ended{self._last_words()}")
        for future in (*self._replies.values(), *self._endings.values()):
            if not future.done():
                future.set_exception(dead)

    def _received(self, message: dict[str, Any]) -> None:
        match message:
            case {"reply": id, "error": error}:
                self._replies.pop(id).set_exception(Refused(**error))
            case {"reply": id, "value": value}:
                self._replies.pop(id).set_result(value)
            case {"progress": id, "args": args, "kwargs": kwargs}:
                self._progress[id].put(Payload(args, kwargs))
            case {"handler": handler, **what}:
                self._handlers[handler](what)
            case {"interrupted": invocation}:
                self._interrupts[invocation].set()
            case {"left": session, "details": details}:
                if not self._endings[session].done():
                    self._endings[session].set_result(details)
            case _:
                raise AssertionError(f"what does {message} mean?")

    def _last_words(self) -> str:
        words = self.log.read_text(errors="replace")[-2000:]
        return f"; it wrote:\n{words}" if words else ""


class Session:
    """A session of a client program.

    Attributes:
        id: its session id.
        authid: who it is.
        authrole: its role.
        details: all that the library tells of WELCOME.
    """

    def __init__(self, driver: Driver, name: str, welcome: dict[str, Any]) -> None:
        self._driver = driver
        self._name = name
        self.id: int = welcome["session"]
        self.authid: str = welcome["authid"]
        self.authrole: str = welcome["authrole"]
        self.details = welcome

    def register(
        self, procedure: str, answer: Callable[[Invocation], None] | None = None, **options: Any
    ) -> Registration:
        """Register a procedure.

        Args:
            procedure: its URI, or a pattern.
            answer: called with each invocation by the thread that reads; without it the test takes the invocations.
            options: match, invoke, disclose_caller.
        Raises:
            Refused: the router refused.
        """
        registration = Registration(self._driver, self._name, next(self._driver._ids), answer)
        self._driver._handlers[registration.handler] = registration._received
        registration.id = self._ask("register", procedure=procedure, options=options, handler=registration.handler)
        return registration

    def subscribe(self, topic: str, **options: Any) -> Subscription:
        """Subscribe to a topic.

        Args:
            topic: its URI, or a pattern.
            options: match.
        """
        subscription = Subscription(self._driver, self._name, next(self._driver._ids))
        self._driver._handlers[subscription.handler] = subscription._received
        subscription.id = self._ask("subscribe", topic=topic, options=options, handler=subscription.handler)
        return subscription

    def call(
        self, procedure: str, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None, **options: Any
    ) -> Payload:
        """Call a procedure and wait for its result.

        Raises:
            Refused: the call failed.
        """
        return self.start_call(procedure, args, kwargs, **options).result()

    def start_call(
        self, procedure: str, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None, **options: Any
    ) -> Call:
        """Call a procedure.

        Args:
            procedure: its URI.
            args, kwargs: arguments.
            options: receive_progress, timeout (milliseconds), disclose_me.
        """
        id, reply = self._driver.tell(
            "call", session=self._name, procedure=procedure, args=list(args), kwargs=kwargs or {}, options=options
        )
        return Call(self._driver, self._name, id, reply)

    def publish(
        self, topic: str, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None, **options: Any
    ) -> int | None:
        """Publish an event; returns the publication id if it is acknowledged.

        Args:
            topic: its URI.
            args, kwargs: arguments.
            options: acknowledge, exclude_me, disclose_me, exclude and eligible with their variants.
        Raises:
            Refused: it is to be acknowledged, and was refused.
        """
        publication = self._ask("publish", topic=topic, args=list(args), kwargs=kwargs or {}, options=options)
        assert publication is None or isinstance(publication, int)
        return publication

    def leave(self) -> None:
        """Say goodbye, and wait for the router's."""
        self._ask("leave")

    def leave_if_open(self) -> None:
        """Say goodbye, unless the session has ended already."""
        if not self._driver._endings[self._name].done():
            self.leave()

    def ended(self) -> dict[str, Any]:
        """How the session ended, in the words of the library."""
        return self._driver.answer(self._driver._endings[self._name], "the end of the session")

    def _ask(self, do: str, **fields: Any) -> Any:
        return self._driver.ask(do, session=self._name, **fields)


class Call:
    """A call that is under way."""

    def __init__(self, driver: Driver, session: str, id: int, reply: Future[Any]) -> None:
        self._driver = driver
        self._session = session
        self._id = id
        self._reply = reply

    def result(self) -> Payload:
        """Its final result.

        Raises:
            Refused: it failed.
        """
        return Payload(**self._driver.answer(self._reply, "a call"))

    def progress(self) -> Payload:
        """Its next progressive result."""
        return self._driver.next_of(self._driver._progress[self._id], "progressive result")

    def all_progress(self) -> list[Payload]:
        """The progressive results that have arrived, once the final one has."""
        arrived = []
        while not self._driver._progress[self._id].empty():
            arrived.append(self._driver._progress[self._id].get())
        return arrived

    def cancel(self, mode: str | None = None) -> None:
        """Cancel it, in one of the modes or in the library's usual way."""
        self._driver.ask("cancel", session=self._session, call=self._id, mode=mode)


@dataclass
class Invocation(Payload):
    """A call as it arrived at a callee; the test answers it."""

    details: dict[str, Any]
    id: int
    _driver: Driver = field(repr=False)

    def succeed(self, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None) -> None:
        """Give the final result."""
        self._driver.tell("succeed", invocation=self.id, args=list(args), kwargs=kwargs or {})

    def progress(self, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None) -> None:
        """Give a progressive result.

        Raises:
            Refused: the library was not asked for any.
        """
        self._driver.ask("progress", invocation=self.id, args=list(args), kwargs=kwargs or {})

    def fail(self, uri: str, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None) -> None:
        """Answer with an error."""
        self._driver.tell("fail", invocation=self.id, uri=uri, args=list(args), kwargs=kwargs or {})

    def wait_until_interrupted(self) -> None:
        """Wait until the client has told the endpoint to stop."""
        assert self._driver._interrupts[self.id].wait(PATIENCE_S), "the callee was not interrupted"


class Registration:
    """A procedure that a session offers.

    Attributes:
        id: registration id.
    """

    def __init__(self, driver: Driver, session: str, handler: int, answer: Callable[[Invocation], None] | None) -> None:
        self.id = 0
        self.handler = handler
        self._driver = driver
        self._session = session
        self._answer = answer
        self._invocations: queue.SimpleQueue[Invocation] = queue.SimpleQueue()

    def next(self) -> Invocation:
        """The next invocation, to be answered."""
        return self._driver.next_of(self._invocations, "invocation")

    def unregister(self) -> None:
        """Withdraw it."""
        self._driver.ask("unregister", session=self._session, handler=self.handler)

    def _received(self, what: dict[str, Any]) -> None:
        invocation = Invocation(**what["invocation"], _driver=self._driver)
        self._driver._interrupts[invocation.id] = threading.Event()
        if self._answer is None:
            self._invocations.put(invocation)
        else:
            self._answer(invocation)


class Subscription:
    """What a session is subscribed to.

    Attributes:
        id: subscription id.
    """

    def __init__(self, driver: Driver, session: str, handler: int) -> None:
        self.id = 0
        self.handler = handler
        self._driver = driver
        self._session = session
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()

    def next(self) -> Event:
        """The next event."""
        return self._driver.next_of(self._events, "event")

    def has_nothing(self) -> bool:
        """Whether no event waits to be taken."""
        return self._events.empty()

    def unsubscribe(self) -> None:
        """End it."""
        self._driver.ask("unsubscribe", session=self._session, handler=self.handler)

    def _received(self, what: dict[str, Any]) -> None:
        self._events.put(Event(**what["event"]))


def echo(invocation: Invocation) -> None:
    """Answers an invocation with its own arguments."""
    invocation.succeed(invocation.args, invocation.kwargs)
