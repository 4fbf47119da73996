"""Rocade's own client as a program that tests can drive, beside those of others; see `interop.lines`."""

from __future__ import annotations

import asyncio
import sys
import traceback
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import rocade
from rocade import (
    ApplicationError,
    CallDetails,
    CallOptions,
    CallResult,
    EventDetails,
    PublishOptions,
    RegisterOptions,
    Session,
    SubscribeOptions,
)

sys.path.insert(0, str(Path(__file__).parent.parent))

from interop.lines import dump_line, load_line

Command = dict[str, Any]


class Driver:
    """All sessions of this process."""

    def __init__(self, say: Callable[[Command], None]) -> None:
        """
        Args:
            say: sends a message to the test.
        """
        self._say = say
        self._ids = count(1)
        # name -> session; handler -> registration or subscription; command id -> call; id -> invocation
        self._sessions: dict[str, Session] = {}
        self._registrations: dict[int, rocade.Registration] = {}
        self._subscriptions: dict[int, rocade.Subscription] = {}
        self._calls: dict[int, asyncio.Task[Any]] = {}
        self._invocations: dict[int, tuple[asyncio.Future[Any], CallDetails]] = {}

    async def carry_out(self, command: Command) -> None:
        """Do what the test wants, and reply."""
        try:
            reply = {"value": await getattr(self, "do_" + command["do"])(command)}
        except ApplicationError as error:
            reply = {"error": _error(error.uri, error.args, error.kwargs, str(error))}
        except rocade.RocadeError as error:
            reply = {"error": _error(error.uri, error.args, {}, str(error))}
        except BaseException as error:
            traceback.print_exc()
            reply = {"error": _error("", error.args, {}, repr(error))}
        if "id" in command:
            self._say({"reply": command["id"], **reply})

    async def do_join(self, command: Command) -> Command:
        def left(_session: Session, reason: rocade.LeaveReason) -> None:
            self._say({"left": command["session"], "details": {"reason": reason, "message": reason.message}})

        url = {
            "websocket": f"ws://127.0.0.1:{command['port']}/ws",
            "rawsocket": f"rs://127.0.0.1:{command['port']}",
        }[command["transport"]]
        session = await rocade.connect(
            url,
            command["realm"],
            serializer=command["serializer"],
            credentials=_credentials(command),
            reconnect=False,
            resumable=False,
            on_leave=left,
        )
        self._sessions[command["session"]] = session
        return {
            "session": session.id,
            "authid": session.authid,
            "authrole": session.authrole,
            "authmethod": session.authmethod,
            "realm": session.realm,
        }

    async def do_leave(self, command: Command) -> None:
        await self._sessions.pop(command["session"]).close()

    async def do_register(self, command: Command) -> int:
        async def endpoint(details: CallDetails, *args: Any, **kwargs: Any) -> CallResult:
            return await self._invoked(command["handler"], args, kwargs, details)

        registration = await self._sessions[command["session"]].register(
            endpoint, command["procedure"], options=RegisterOptions(**command["options"])
        )
        self._registrations[command["handler"]] = registration
        return registration.id

    async def do_unregister(self, command: Command) -> None:
        await self._registrations.pop(command["handler"]).unregister()

    async def do_subscribe(self, command: Command) -> int:
        async def handler(details: EventDetails, *args: Any, **kwargs: Any) -> None:
            about = {
                "topic": details.topic,
                "publication": details.publication,
                "publisher": details.publisher,
                "publisher_authid": details.publisher_authid,
                "publisher_authrole": details.publisher_authrole,
            }
            event = {"args": args, "kwargs": kwargs, "details": about}
            self._say({"handler": command["handler"], "event": event})

        subscription = await self._sessions[command["session"]].subscribe(
            handler, command["topic"], options=SubscribeOptions(**command["options"])
        )
        self._subscriptions[command["handler"]] = subscription
        return subscription.id

    async def do_unsubscribe(self, command: Command) -> None:
        await self._subscriptions.pop(command["handler"]).unsubscribe()

    async def do_publish(self, command: Command) -> int | None:
        return await self._sessions[command["session"]].publish(
            command["topic"], *command["args"], options=PublishOptions(**command["options"]), **command["kwargs"]
        )

    async def do_call(self, command: Command) -> Command:
        call = asyncio.ensure_future(self._call(command))
        self._calls[command["id"]] = call
        try:
            result = await call
        except asyncio.CancelledError:
            raise ApplicationError("wamp.error.canceled") from None
        finally:
            del self._calls[command["id"]]
        if isinstance(result, CallResult):
            return {"args": result.args, "kwargs": result.kwargs}
        return {"args": [] if result is None else [result], "kwargs": {}}

    async def _call(self, command: Command) -> Any:
        def progress(*args: Any, **kwargs: Any) -> None:
            self._say({"progress": command["id"], "args": args, "kwargs": kwargs})

        options = dict(command["options"])
        if options.pop("receive_progress", False):
            options["on_progress"] = progress
        timeout = options.pop("timeout", None)
        if timeout is not None:
            options["timeout"] = timeout / 1000
        session = self._sessions[command["session"]]
        return await session.call(
            command["procedure"], *command["args"], options=CallOptions(**options), **command["kwargs"]
        )

    async def do_cancel(self, command: Command) -> None:
        self._calls[command["call"]].cancel()

    async def do_succeed(self, command: Command) -> None:
        future, _ = self._invocations.pop(command["invocation"])
        if not future.done():
            future.set_result(CallResult(*command["args"], **command["kwargs"]))

    async def do_progress(self, command: Command) -> None:
        _, details = self._invocations[command["invocation"]]
        await details.progress(*command["args"], **command["kwargs"])

    async def do_fail(self, command: Command) -> None:
        future, _ = self._invocations.pop(command["invocation"])
        if not future.done():
            future.set_exception(ApplicationError(command["uri"], *command["args"], **command["kwargs"]))

    async def _invoked(self, handler: int, args: Any, kwargs: Any, details: CallDetails) -> CallResult:
        id = next(self._ids)
        answer: asyncio.Future[CallResult] = asyncio.get_running_loop().create_future()
        self._invocations[id] = answer, details
        about = {
            "procedure": details.procedure,
            "caller": details.caller,
            "caller_authid": details.caller_authid,
            "caller_authrole": details.caller_authrole,
            "receive_progress": details.wants_progress,
        }
        self._say({"handler": handler, "invocation": {"id": id, "args": args, "kwargs": kwargs, "details": about}})
        try:
            return await answer
        except asyncio.CancelledError:
            self._say({"interrupted": id})
            raise


def _credentials(command: Command) -> rocade.Credentials | None:
    """How a user of the library logs in."""
    login = command.get("login")
    if login is None:
        return None
    authid, secret = login["authid"], login["secret"]
    how: dict[str, Callable[[], rocade.Credentials]] = {
        "ticket": lambda: rocade.Ticket(authid, secret),
        "wampcra": lambda: rocade.WampCra(authid, secret),
        "cryptosign": lambda: rocade.Cryptosign(secret, authid),
        "scram": lambda: rocade.Scram(authid, secret),
        "jwt": lambda: rocade.Jwt(secret, authid),
    }
    return how[login["method"]]()


def _error(uri: str, args: Any, kwargs: Any, message: str) -> Command:
    return {"uri": uri, "args": list(args), "kwargs": kwargs or {}, "message": message}


async def main() -> None:
    """Carry out commands until standard input ends."""
    loop = asyncio.get_running_loop()
    lines = asyncio.StreamReader(limit=1 << 26)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    output, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, sys.stdout)
    driver = Driver(lambda message: output.write(dump_line(message)))
    tasks = set()
    while line := await lines.readline():
        # A task starts in the order of creation and runs to its first real wait: so do what it sends.
        task = asyncio.create_task(driver.carry_out(load_line(line)))
        tasks.add(task)
        task.add_done_callback(tasks.discard)


if __name__ == "__main__":
    asyncio.run(main())
