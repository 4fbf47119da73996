"""Rocade's own client as a program that tests can drive, beside those of others; see `interop.lines`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
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

from interop.python_driver import Command, PythonDriver, drive


class Driver(PythonDriver):
    """Sessions of `rocade.connect`."""

    Result = CallResult
    Failure = ApplicationError
    _sessions: dict[str, Session]

    def described(self, error: BaseException) -> tuple[str, Any, Any] | None:
        if isinstance(error, ApplicationError):
            return error.uri, error.args, error.kwargs
        return (error.uri, error.args, {}) if isinstance(error, rocade.RocadeError) else None

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
        async def endpoint(details: CallDetails, *args: Any, **kwargs: Any) -> Any:
            return await self._invoked(command["handler"], args, kwargs, details, details.wants_progress)

        registration = await self._sessions[command["session"]].register(
            endpoint, command["procedure"], options=RegisterOptions(**command["options"])
        )
        self._handlers[command["handler"]] = registration
        return registration.id

    async def do_subscribe(self, command: Command) -> int:
        async def handler(details: EventDetails, *args: Any, **kwargs: Any) -> None:
            self._heard(command["handler"], args, kwargs, details)

        subscription = await self._sessions[command["session"]].subscribe(
            handler, command["topic"], options=SubscribeOptions(**command["options"])
        )
        self._handlers[command["handler"]] = subscription
        return subscription.id

    async def do_publish(self, command: Command) -> int | None:
        return await self._sessions[command["session"]].publish(
            command["topic"], *command["args"], options=PublishOptions(**command["options"]), **command["kwargs"]
        )

    async def do_call(self, command: Command) -> Command:
        result = await self._outcome(command, asyncio.ensure_future(self._call(command)))
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

    async def do_progress(self, command: Command) -> None:
        _, details = self._invocations[command["invocation"]]
        await details.progress(*command["args"], **command["kwargs"])


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


if __name__ == "__main__":
    asyncio.run(drive(Driver))
