"""A gateway with clients whose links exist only in memory, and a clock that tests can push forward."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from tests.conformance.waiting import TIMEOUT

from rocade.net.link import LinkInfo, Receiver, Wire
from rocade.router.permissions import Permission, Role
from rocade.serve.authentication import Anonymous, Authenticator
from rocade.serve.authorization import Authorizer
from rocade.serve.gateway import Gateway
from rocade.wamp.codec import CBOR, JSON, MSGPACK
from rocade.wamp.messages import (
    Call,
    CallOptions,
    Cancel,
    CancelMode,
    CancelOptions,
    ClientRoles,
    CloseDetails,
    Error,
    Goodbye,
    Hello,
    HelloDetails,
    Match,
    Message,
    PassthruDetails,
    Publish,
    PublishOptions,
    Register,
    RegisterOptions,
    Subscribe,
    SubscribeOptions,
    Welcome,
    Yield,
    YieldOptions,
)
from rocade.wamp.messages import Role as ClientRole

EVERYTHING = {"call_canceling": True, "progressive_call_results": True}
HEADER = b"FRM:"


def frame(data: bytes) -> bytes:
    return HEADER + data


def unframe(data: bytes) -> bytes:
    return data.removeprefix(HEADER)


WIRES = {
    serializer.name: Wire(f"fake.{serializer.name}", serializer, frame, unframe) for serializer in (JSON, MSGPACK, CBOR)
}


class ClockLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock can be pushed forward."""

    skipped = 0.0

    def time(self) -> float:
        return super().time() + self.skipped


async def settle() -> None:
    """Let the event loop work off what is ready. Nothing here waits for the world outside: a few turns do."""
    for _ in range(20):
        await asyncio.sleep(0)


async def pass_time(seconds: float) -> None:
    """Push the clock forward, and let what is due happen."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, ClockLoop)
    loop.skipped += seconds
    await settle()


class FakeLink:
    """A `Link` that records what is done with it. It keeps to the interface: no call of it calls its receiver."""

    def __init__(self, wire: Wire = WIRES["json"], *, max_send_bytes: int = 2**24) -> None:
        self.wire = wire
        self.info = LinkInfo("fake", "fake:1")
        self.max_send_bytes = max_send_bytes
        self.receiver: Receiver | None = None
        self.writes: list[list[bytes]] = []
        # "pause" and "resume", as they came
        self.reading: list[str] = []
        self.held: deque[bytes] = deque()
        # arguments of the first close()
        self.closed: tuple[str, bool] | None = None
        self.is_aborted = False

    def write(self, frames: Sequence[bytes]) -> None:
        if self.closed is None and not self.is_aborted:
            self.writes.append(list(frames))

    def buffered_bytes(self) -> int:
        return 0

    def pause_reading(self) -> None:
        self.reading.append("pause")

    def resume_reading(self) -> None:
        if self.is_paused:
            self.reading.append("resume")
            asyncio.get_running_loop().call_soon(self._deliver_held)

    def close(self, reason: str = "", *, failure: bool = False) -> None:
        self.closed = self.closed or (reason, failure)

    def abort(self) -> None:
        self.is_aborted = True

    def invalid_text(self) -> bool:
        return False

    @property
    def is_paused(self) -> bool:
        return self.reading[-1:] == ["pause"]

    def deliver(self, data: bytes) -> None:
        """A message has arrived from the client."""
        self.held.append(data)
        self._deliver_held()

    def _deliver_held(self) -> None:
        assert self.receiver is not None
        while self.held and not self.is_paused and self.closed is None:
            self.receiver.message_received(self.held.popleft())

    def lose(self, reason: str = "closed by peer") -> None:
        """The connection is gone."""
        assert self.receiver is not None
        self.receiver.link_lost(reason)

    @property
    def frames(self) -> list[bytes]:
        """All that was written, whatever the batches."""
        return [frame for batch in self.writes for frame in batch]


class Client:
    """A WAMP client that the test plays."""

    def __init__(
        self,
        gateway: Gateway,
        *,
        wire: Wire = WIRES["json"],
        max_send_bytes: int = 2**24,
        authenticators: Mapping[str, Authenticator] | None = None,
    ) -> None:
        self.gateway = gateway
        self.link = FakeLink(wire, max_send_bytes=max_send_bytes)
        entrance = gateway.entrance({"anonymous": Anonymous("user")} if authenticators is None else authenticators)
        self.link.receiver = entrance(self.link)
        self.last_request = 0
        self._taken = 0

    @property
    def connection(self) -> Any:
        return self.link.receiver

    def next_request(self) -> int:
        self.last_request += 1
        return self.last_request

    # What it sends.

    def send(self, *messages: Message) -> None:
        for message in messages:
            self.link.deliver(self.link.wire.serializer.encode(message))

    def hello(self, realm: str = "realm1", features: dict[str, Any] | None = None, **details: Any) -> None:
        roles = details.pop("roles", ClientRoles(caller=ClientRole(features), callee=ClientRole(features)))
        self.send(Hello(realm, HelloDetails(roles=roles, **details)))

    def join(self, realm: str = "realm1", features: dict[str, Any] | None = None) -> Welcome:
        self.hello(realm, features)
        welcome = self.take_one()
        assert type(welcome) is Welcome, welcome
        self.last_request = 0
        return welcome

    def goodbye(self, reason: str = "wamp.close.close_realm") -> None:
        self.send(Goodbye(CloseDetails(), reason))

    def subscribe(self, topic: str, match: Match | None = None) -> int:
        self.send(Subscribe(self.next_request(), SubscribeOptions(match=match), topic))
        return self.last_request

    def publish(self, topic: str, *args: Any, **options: Any) -> int:
        self.send(Publish(self.next_request(), PublishOptions(**options), topic, args))
        return self.last_request

    def register(self, procedure: str, **options: Any) -> int:
        self.send(Register(self.next_request(), RegisterOptions(**options), procedure))
        return self.last_request

    def call(self, procedure: str, *args: Any, **options: Any) -> int:
        self.send(Call(self.next_request(), CallOptions(**options), procedure, args))
        return self.last_request

    def cancel(self, request: int, mode: CancelMode | None = None) -> None:
        self.send(Cancel(request, CancelOptions(mode=mode)))

    def yield_(self, invocation: int, *args: Any) -> None:
        self.send(Yield(invocation, YieldOptions(), args))

    def error(self, invocation: int, uri: str = "com.example.failed") -> None:
        self.send(Error(68, invocation, PassthruDetails(), uri))

    # What it gets.

    def take(self) -> list[Any]:
        """The messages that came since the last time."""
        self.gateway.flusher.flush()
        frames = self.link.frames[self._taken :]
        self._taken += len(frames)
        return [self.link.wire.serializer.decode(frame.removeprefix(HEADER), is_patient=True) for frame in frames]

    def take_one(self) -> Any:
        messages = self.take()
        assert len(messages) == 1, messages
        return messages[0]

    def args(self, message: Any) -> list[Any]:
        """The arguments of a message that it got."""
        arguments: list[Any] = self.link.wire.serializer.load(message.args) if message.args else []
        return arguments


async def next_message(client: Client) -> Any:
    """What comes next, and alone, where a thread or a process has to do its part first."""
    async with asyncio.timeout(TIMEOUT):
        await settle()
        while not (messages := client.take()):
            await asyncio.sleep(0.001)
            await settle()
    assert len(messages) == 1, messages
    return messages[0]


def open_gateway(
    authorizer: Authorizer | None = None, *, realms: Sequence[str] = ("realm1",), **options: Any
) -> Gateway:
    """A gateway whose clients, in the role "user", may do everything."""
    gateway = Gateway(authorizer=authorizer, source=random.Random(1), **options)
    everything = Permission(uri="", match=Match.PREFIX, call=True, register=True, publish=True, subscribe=True)
    for realm in realms:
        gateway.add_realm(realm, [Role("user", [everything])])
    return gateway
