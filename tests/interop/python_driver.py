"""What the programs that drive Python libraries have in common; see `interop.lines` for what is spoken."""

from __future__ import annotations

import asyncio
import sys
import traceback
from collections.abc import Callable
from itertools import count
from typing import Any

from .lines import dump_line, load_line

Command = dict[str, Any]


class PythonDriver:
    """All sessions of this process; a subclass opens and uses them as its library wants it.

    Attributes:
        Result: the library's class for results with several arguments.
        Failure: its class for errors with a URI.
    """

    Result: Callable[..., Any]
    Failure: Callable[..., Exception]

    def __init__(self, say: Callable[[Command], None]) -> None:
        """
        Args:
            say: sends a message to the test.
        """
        self._say = say
        self._ids = count(1)
        # name -> session; handler -> registration or subscription; command id -> call; id -> invocation
        self._sessions: dict[str, Any] = {}
        self._handlers: dict[int, Any] = {}
        self._calls: dict[int, asyncio.Future[Any]] = {}
        self._invocations: dict[int, tuple[asyncio.Future[Any], Any]] = {}

    async def carry_out(self, command: Command) -> None:
        """Do what the test wants, and reply."""
        try:
            reply = {"value": await getattr(self, "do_" + command["do"])(command)}
        except BaseException as error:
            known = self.described(error)
            if known is None:
                traceback.print_exc()
            uri, args, kwargs = known or ("", error.args, {})
            message = repr(error) if known is None else str(error)
            reply = {"error": {"uri": uri, "args": list(args), "kwargs": kwargs or {}, "message": message}}
        if "id" in command:
            self._say({"reply": command["id"], **reply})

    def described(self, error: BaseException) -> tuple[str, Any, Any] | None:
        """URI, args and kwargs of an error of the library; None for any other."""
        raise NotImplementedError

    async def do_unregister(self, command: Command) -> None:
        await self._handlers.pop(command["handler"]).unregister()

    async def do_unsubscribe(self, command: Command) -> None:
        await self._handlers.pop(command["handler"]).unsubscribe()

    async def do_cancel(self, command: Command) -> None:
        self._calls[command["call"]].cancel()

    async def do_succeed(self, command: Command) -> None:
        future, _ = self._invocations.pop(command["invocation"])
        if not future.done():
            future.set_result(self.Result(*command["args"], **command["kwargs"]))

    async def do_fail(self, command: Command) -> None:
        future, _ = self._invocations.pop(command["invocation"])
        if not future.done():
            future.set_exception(self.Failure(command["uri"], *command["args"], **command["kwargs"]))

    async def _outcome(self, command: Command, call: asyncio.Future[Any]) -> Any:
        """What comes of a call, which can be canceled meanwhile."""
        self._calls[command["id"]] = call
        try:
            return await call
        except asyncio.CancelledError:  # of the call, not of this task
            raise self.Failure("wamp.error.canceled") from None
        finally:
            del self._calls[command["id"]]

    async def _invoked(self, handler: int, args: Any, kwargs: Any, details: Any, wants_progress: bool) -> Any:
        id = next(self._ids)
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._invocations[id] = answer, details
        about = {
            "procedure": details.procedure,
            "caller": details.caller,
            "caller_authid": details.caller_authid,
            "caller_authrole": details.caller_authrole,
            "receive_progress": wants_progress,
        }
        self._say({"handler": handler, "invocation": {"id": id, "args": args, "kwargs": kwargs, "details": about}})
        try:
            return await answer
        except asyncio.CancelledError:
            self._say({"interrupted": id})
            raise

    def _heard(self, handler: int, args: Any, kwargs: Any, details: Any) -> None:
        about = {
            "topic": details.topic,
            "publication": details.publication,
            "publisher": details.publisher,
            "publisher_authid": details.publisher_authid,
            "publisher_authrole": details.publisher_authrole,
        }
        self._say({"handler": handler, "event": {"args": args, "kwargs": kwargs, "details": about}})


async def drive(kind: type[PythonDriver]) -> None:
    """Carry out commands until standard input ends."""
    loop = asyncio.get_running_loop()
    lines = asyncio.StreamReader(limit=1 << 26)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    output, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, sys.stdout)
    driver = kind(lambda message: output.write(dump_line(message)))
    tasks = set()
    while line := await lines.readline():
        # A task starts in the order of creation and runs to its first real wait: so do what it sends.
        task = asyncio.create_task(driver.carry_out(load_line(line)))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
