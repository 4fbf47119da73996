"""A WAMP peer that does nothing by itself: it sends what a test says and returns what the router answered."""

from __future__ import annotations

import asyncio
import json
from types import TracebackType
from typing import Any, TypeVar

import cbor2
import msgspec
from tests.conformance.carriers import Carrier, Gone
from tests.conformance.waiting import TIMEOUT

from rocade.wamp.codec import Serializer
from rocade.wamp.messages import (
    Abort,
    Call,
    CallOptions,
    ClientRoles,
    CloseDetails,
    Error,
    Event,
    Goodbye,
    Hello,
    HelloDetails,
    Invocation,
    Message,
    Publish,
    Published,
    PublishOptions,
    Register,
    Registered,
    RegisterOptions,
    Result,
    Role,
    Subscribe,
    Subscribed,
    SubscribeOptions,
    Unregister,
    Unregistered,
    Unsubscribe,
    Unsubscribed,
    Welcome,
    Yield,
    YieldOptions,
)

M = TypeVar("M", bound=Message)

ALL_FEATURES = {
    "call_canceling": True,
    "call_reroute": True,
    "call_timeout": True,
    "call_trustlevels": True,
    "caller_identification": True,
    "pattern_based_registration": True,
    "pattern_based_subscription": True,
    "payload_passthru_mode": True,
    "progressive_call_invocations": True,
    "progressive_call_results": True,
    "publication_trustlevels": True,
    "publisher_exclusion": True,
    "publisher_identification": True,
    "shared_registration": True,
    "subscriber_blackwhite_listing": True,
}
"""What a peer announces for each of its roles unless a test says otherwise."""

NOWHERE = "com.nowhere"
"""A procedure that nobody registers."""

_WITH_PAYLOAD = (Abort, Call, Error, Event, Invocation, Publish, Result, Yield)


class Peer:
    """One connection of a client, with or without a session on it."""

    def __init__(self, carrier: Carrier, serializer: Serializer) -> None:
        """
        Args:
            carrier: its connection.
            serializer: what was negotiated there.
        """
        self.carrier = carrier
        self.serializer = serializer
        self.welcome: Welcome | None = None
        self.last_request = 0

    @property
    def session(self) -> int:
        """Id of the open session."""
        assert self.welcome is not None
        return self.welcome.session

    # --- bytes and messages -----------------------------------------------------------------------

    async def send_bytes(self, data: bytes) -> None:
        """Send bytes as one message."""
        async with asyncio.timeout(TIMEOUT):
            await self.carrier.send(data)

    async def send(self, message: Message) -> None:
        """Send a message."""
        await self.send_bytes(bytes(self.serializer.encode(message)))

    async def send_array(self, *elements: Any) -> None:
        """Send a message that is put together by somebody else's encoder, right or wrong."""
        await self.send_bytes(encode_plainly(self.serializer.name, list(elements)))

    async def receive_bytes(self) -> bytes:
        """The next message as it came.

        Raises:
            Gone: the connection has ended.
        """
        async with asyncio.timeout(TIMEOUT):
            return await self.carrier.receive()

    async def receive(self) -> Message:
        """The next message, with `args` and `kwargs` as Python values."""
        message = self.serializer.decode(await self.receive_bytes(), is_patient=True)
        if isinstance(message, _WITH_PAYLOAD):
            if message.args:
                message.args = self.serializer.load(bytes(message.args))
            if message.kwargs:
                message.kwargs = self.serializer.load(bytes(message.kwargs))  # type: ignore[arg-type]
        return message

    async def receive_array(self) -> list[Any]:
        """The next message as somebody else's decoder reads it."""
        array = decode_plainly(self.serializer.name, await self.receive_bytes())
        assert isinstance(array, list)
        return array

    async def expect(self, kind: type[M]) -> M:
        """The next message, which must be one of this kind."""
        message = await self.receive()
        assert type(message) is kind, f"expected {kind.__name__}, got {message}"
        return message

    async def expect_end(self) -> None:
        """The connection must end, and nothing come before that."""
        try:
            data = await self.receive_bytes()
        except Gone:
            return
        raise AssertionError(f"expected the end of the connection, got {data!r}")

    async def expect_nothing(self) -> None:
        """Nothing may have been sent to this session up to now: the answer to a new request must come next."""
        await self.send(Call(self.next_request(), CallOptions(), NOWHERE))
        answer = await self.receive()
        assert isinstance(answer, Error), f"expected nothing, got {answer}"
        assert (answer.request_type, answer.request) == (48, self.last_request), f"expected nothing, got {answer}"

    async def close(self) -> None:
        """Close the connection, whatever is going on."""
        async with asyncio.timeout(TIMEOUT):
            await self.carrier.close()

    async def vanish(self) -> None:
        """Drop the connection without a word."""
        async with asyncio.timeout(TIMEOUT):
            await self.carrier.vanish()

    async def __aenter__(self) -> Peer:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    # --- sessions ---------------------------------------------------------------------------------

    async def join(
        self,
        realm: str,
        *,
        authid: str | None = None,
        authrole: str | None = None,
        features: dict[str, bool] | None = None,
    ) -> Welcome:
        """Open a session.

        Args:
            realm: where.
            authid: who to be.
            authrole: which role to ask for.
            features: announced for every role; `ALL_FEATURES` by default.
        """
        role = Role(features=dict(ALL_FEATURES if features is None else features))
        roles = ClientRoles(publisher=role, subscriber=role, caller=role, callee=role)
        await self.send(Hello(realm, HelloDetails(roles=roles, authid=authid, authrole=authrole)))
        self.welcome = await self.expect(Welcome)
        self.last_request = 0
        return self.welcome

    async def leave(self) -> Goodbye:
        """Close the session; returns the router's GOODBYE."""
        await self.send(Goodbye(CloseDetails(), "wamp.close.close_realm"))
        return await self.expect(Goodbye)

    def next_request(self) -> int:
        """A request id for the next request."""
        self.last_request += 1
        return self.last_request

    # --- requests that must succeed ---------------------------------------------------------------

    async def subscribe(self, topic: str, **options: Any) -> int:
        """Subscribe; returns the subscription's id."""
        await self.send(Subscribe(self.next_request(), SubscribeOptions(**options), topic))
        answer = await self.expect(Subscribed)
        assert answer.request == self.last_request
        return answer.subscription

    async def unsubscribe(self, subscription: int) -> None:
        """End a subscription."""
        await self.send(Unsubscribe(self.next_request(), subscription))
        assert await self.expect(Unsubscribed) == Unsubscribed(self.last_request)

    async def publish(self, topic: str, *args: Any, **options: Any) -> int:
        """Publish with an acknowledgement; returns the publication's id. Events have been sent when it returns."""
        message = Publish(self.next_request(), PublishOptions(acknowledge=True, **options), topic, list(args))
        await self.send(message)
        answer = await self.expect(Published)
        assert answer.request == self.last_request
        return answer.publication

    async def register(self, procedure: str, **options: Any) -> int:
        """Register; returns the registration's id."""
        await self.send(Register(self.next_request(), RegisterOptions(**options), procedure))
        answer = await self.expect(Registered)
        assert answer.request == self.last_request
        return answer.registration

    async def unregister(self, registration: int) -> None:
        """End a registration."""
        await self.send(Unregister(self.next_request(), registration))
        assert await self.expect(Unregistered) == Unregistered(self.last_request)

    # --- requests whose answer is the test's matter -----------------------------------------------

    async def call(self, procedure: str, *args: Any, **options: Any) -> int:
        """Send a CALL; returns its request id."""
        await self.send(Call(self.next_request(), CallOptions(**options), procedure, list(args)))
        return self.last_request

    async def continue_call(self, request: int, procedure: str, *args: Any, **options: Any) -> None:
        """Send a CALL with the request id of an earlier one."""
        await self.send(Call(request, CallOptions(**options), procedure, list(args)))

    async def yield_(self, invocation: Invocation, *args: Any, **options: Any) -> None:
        """Answer an invocation."""
        await self.send(Yield(invocation.request, YieldOptions(**options), list(args)))

    async def expect_error(self, request_type: int, uri: str) -> Error:
        """The answer to the latest request, which must be this error."""
        error = await self.expect(Error)
        assert (error.request_type, error.request, error.error) == (request_type, self.last_request, uri)
        return error


def encode_plainly(serializer: str, value: Any) -> bytes:
    """A value in a serializer, without any code of the router."""
    if serializer == "json":
        return json.dumps(value).encode()
    return msgspec.msgpack.encode(value) if serializer == "msgpack" else cbor2.dumps(value)


def decode_plainly(serializer: str, data: bytes) -> Any:
    """The value of a serialized message, without any code of the router."""
    if serializer == "json":
        return json.loads(data, parse_constant=_not_json)
    return msgspec.msgpack.decode(data) if serializer == "msgpack" else cbor2.loads(data)


def _not_json(name: str) -> Any:
    raise AssertionError(f"{name} is not JSON")
