"""autobahn-python as a program that tests can drive; see `interop.lines` for what is spoken.

Sessions are opened and used as in autobahn's documentation: a `Component` with a transport, and the session that it
hands to `on_join`; or an `ApplicationSession` under its `ApplicationRunner`.
"""

# mypy: disable-error-code="no-untyped-call, untyped-decorator"

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

from autobahn.asyncio.component import Component
from autobahn.asyncio.wamp import ApplicationRunner, ApplicationSession
from autobahn.wamp.exception import ApplicationError
from autobahn.wamp.serializer import create_transport_serializer
from autobahn.wamp.types import (
    CallDetails,
    CallOptions,
    CallResult,
    EventDetails,
    PublishOptions,
    RegisterOptions,
    SessionDetails,
    SubscribeOptions,
)

sys.path.insert(0, str(Path(__file__).parent.parent))

from interop.python_driver import Command, PythonDriver, drive


class Driver(PythonDriver):
    """Sessions of components and application runners."""

    Result = CallResult
    Failure = ApplicationError

    def described(self, error: BaseException) -> tuple[str, Any, Any] | None:
        return (error.error, error.args, error.kwargs) if isinstance(error, ApplicationError) else None

    async def do_join(self, command: Command) -> Any:
        if command["serializer"].endswith(".batched"):
            return await self._join_under_runner(command)
        component = Component(
            transports=[_transport(command)],
            realm=command["realm"],
            authentication=_authentication(command),
            session_factory=_session_factory(command),
        )
        joined: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        @component.on_join
        async def on_join(session: Any, details: Any) -> None:
            self._sessions[command["session"]] = session
            joined.set_result(details)

        @component.on_leave
        def on_leave(session: Any, details: Any) -> None:
            if not joined.done():
                joined.set_exception(ApplicationError(details.reason, details.message))
            self._left(command, details)

        done = component.start(asyncio.get_running_loop())
        done.add_done_callback(lambda future: future.cancelled() or future.exception())
        await asyncio.wait((joined, done), return_when=asyncio.FIRST_COMPLETED)
        if not joined.done():
            done.result()
        return _welcome(joined.result())

    async def _join_under_runner(self, command: Command) -> Any:
        """Batched serializers are for application runners, which prefer them; components do not know them."""
        joined: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        driver = self

        class Session(ApplicationSession):
            def onJoin(self, details: Any) -> None:
                driver._sessions[command["session"]] = self
                joined.set_result(details)

            def onLeave(self, details: Any) -> None:
                if not joined.done():
                    joined.set_exception(ApplicationError(details.reason, details.message))
                driver._left(command, details)
                self.disconnect()

            def onUserError(self, fail: Any, msg: str) -> None:
                pass

        serializer = create_transport_serializer(command["serializer"])
        runner = ApplicationRunner(_transport(command)["url"], command["realm"], serializers=[serializer])
        await runner.run(Session, start_loop=False)
        return _welcome(await joined)

    def _left(self, command: Command, details: Any) -> None:
        self._say({"left": command["session"], "details": {"reason": details.reason, "message": details.message}})

    async def do_leave(self, command: Command) -> None:
        await self._sessions.pop(command["session"]).leave()

    async def do_register(self, command: Command) -> int:
        async def endpoint(*args: Any, details: CallDetails, **kwargs: Any) -> CallResult:
            wants_progress = details.progress is not None
            return await self._invoked(command["handler"], args, kwargs, details, wants_progress)

        registration = await self._sessions[command["session"]].register(
            endpoint, command["procedure"], options=RegisterOptions(details_arg="details", **command["options"])
        )
        self._handlers[command["handler"]] = registration
        return int(registration.id)

    async def do_subscribe(self, command: Command) -> int:
        def handler(*args: Any, details: EventDetails, **kwargs: Any) -> None:
            self._heard(command["handler"], args, kwargs, details)

        subscription = await self._sessions[command["session"]].subscribe(
            handler, command["topic"], options=SubscribeOptions(details_arg="details", **command["options"])
        )
        self._handlers[command["handler"]] = subscription
        return int(subscription.id)

    async def do_publish(self, command: Command) -> int | None:
        acknowledgement = self._sessions[command["session"]].publish(
            command["topic"], *command["args"], options=PublishOptions(**command["options"]), **command["kwargs"]
        )
        return None if acknowledgement is None else (await acknowledgement).id

    async def do_call(self, command: Command) -> Command:
        options = dict(command["options"])
        if options.pop("receive_progress", False):
            options["on_progress"] = lambda *args, **kwargs: self._say(
                {"progress": command["id"], "args": args, "kwargs": kwargs}
            )
        call = self._sessions[command["session"]].call(
            command["procedure"],
            *command["args"],
            options=CallOptions(**options) if options else None,
            **command["kwargs"],
        )
        result = await self._outcome(command, call)
        if isinstance(result, CallResult):
            return {"args": result.results, "kwargs": result.kwresults or {}}
        return {"args": [] if result is None else [result], "kwargs": {}}

    async def do_progress(self, command: Command) -> None:
        _, details = self._invocations[command["invocation"]]
        details.progress(*command["args"], **command["kwargs"])


def _transport(command: Command) -> dict[str, Any]:
    if command["transport"] == "rawsocket":
        return {
            "type": "rawsocket",
            "url": f"rs://127.0.0.1:{command['port']}",
            "endpoint": {"type": "tcp", "host": "127.0.0.1", "port": command["port"]},
            "serializer": command["serializer"],
            "max_retries": 0,
        }
    return {
        "type": "websocket",
        "url": f"ws://127.0.0.1:{command['port']}/ws",
        "serializers": [command["serializer"]],
        "max_retries": 0,
    }


def _authentication(command: Command) -> dict[str, Any] | None:
    """How a user of the library logs in."""
    login = command.get("login")
    if login is None or login["method"] == "jwt":
        return None
    authid, secret = login["authid"], login["secret"]
    how = {
        "ticket": {"authid": authid, "ticket": secret},
        "wampcra": {"authid": authid, "secret": secret},
        "cryptosign": {"authid": authid, "privkey": secret},
        "scram": {
            "authid": authid,
            "password": secret,
            "nonce": "",
            "kdf": "",
            "salt": "",
            "iterations": 0,
            "memory": 0,
        },
    }
    return {login["method"]: how[login["method"]]}


def _session_factory(command: Command) -> type[ApplicationSession] | None:
    """A session for a method that the library has no name for: it joins, and answers the challenge, by itself."""
    login = command.get("login")
    if login is None or login["method"] != "jwt":
        return None

    class Bearer(ApplicationSession):  # type: ignore[misc]
        def onConnect(self) -> None:
            self.join(command["realm"], [login["method"]], login["authid"])

        def onChallenge(self, challenge: Any) -> str:
            assert challenge.method == login["method"]
            secret: str = login["secret"]
            return secret

    return Bearer


def _welcome(details: SessionDetails) -> Command:
    return {
        "session": details.session,
        "authid": details.authid,
        "authrole": details.authrole,
        "authmethod": details.authmethod,
        "realm": details.realm,
    }


if __name__ == "__main__":
    asyncio.run(drive(Driver))
