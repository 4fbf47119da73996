"""A realm as it should be: what each of its sessions gets, whatever they and time do.

It shares nothing with `rocade.router`, not even the structs of messages: messages are the lists of the wire. Where the
specification leaves something open, it does what docs/wamp.md says.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from tests.router.model.broker import Broker
from tests.router.model.dealer import Dealer, check_announced
from tests.router.model.meta import Meta
from tests.router.model.registrations import Registrations
from tests.router.model.sessions import WORDS, Peer, Post, Refused, Violation

PUBLISH, SUBSCRIBE, UNSUBSCRIBE, CALL, CANCEL, REGISTER, UNREGISTER, YIELD, ERROR = 16, 32, 34, 48, 49, 64, 66, 70, 8
PAYLOAD_AT = {PUBLISH: 4, CALL: 4, YIELD: 3, ERROR: 5}


class Model:
    """One realm.

    Attributes:
        sessions: those that are in it, in the order in which they came.
    """

    def __init__(self, random_below: Callable[[int], int]) -> None:
        self.sessions: list[Peer] = []
        self.post = Post()
        self.broker = Broker(self.post, self.time)
        self.registrations = Registrations(self.post, self.broker, self.time)
        self.dealer = Dealer(self.post, self.registrations, random_below)
        self.meta = Meta(self)

    def time(self) -> str:
        """The time of day."""
        return datetime.fromtimestamp(1709208000 + self.dealer.now, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"

    def take(self) -> dict[int, list[Any]]:
        """What has arrived since this was last asked: session id -> messages."""
        self.post.run()
        arrived, self.post.arrived = self.post.arrived, {}
        return arrived

    # --- what may happen --------------------------------------------------------------------------

    def join(self, peer: Peer) -> None:
        """A session begins."""
        self.sessions.append(peer)
        self.meta.joined(peer)

    def detach(self, peer: Peer) -> None:
        """A session has lost its connection, and may come back."""
        self.meta.publish_testaments(peer, "detached")

    def wait_until(self, now: float) -> None:
        """Time passes."""
        self.dealer.now = now
        while (call := self.dealer.next_timeout(self.sessions)) is not None:
            self.dealer.time_out(call)
            self.post.run()

    def receive(self, peer: Peer, message: list[Any], disclose: bool) -> bool:
        """A session sends something; whether it is aborted for it."""
        try:
            self._receive(peer, message, disclose)
        except Violation:
            self.leave(peer)
            return True
        except Refused as refused:
            if message[0] != PUBLISH or message[2].get("acknowledge"):
                self.post.send(peer, ERROR, message[0], message[1], {}, refused.uri, WORDS, refused.kwargs)
        return False

    def _receive(self, peer: Peer, message: list[Any], disclose: bool) -> None:
        code, *rest = message
        if code in PAYLOAD_AT:
            rest += [[], {}][len(message) - PAYLOAD_AT[code] :]
        if code in (PUBLISH, SUBSCRIBE, UNSUBSCRIBE, CALL, REGISTER, UNREGISTER):
            if peer.last_request not in (0, rest[0] - 1):
                if (
                    code != CALL
                    or rest[0] > peer.last_request
                    or not peer.can("caller", "progressive_call_invocations")
                ):
                    raise Violation
                self.dealer.continue_call(peer, *rest)
                return
            peer.last_request = rest[0]
        if code == PUBLISH:
            self.broker.receive_publish(peer, disclose, *rest)
        elif code == SUBSCRIBE:
            self.broker.subscribe(peer, *rest)
        elif code == UNSUBSCRIBE:
            self.broker.unsubscribe(peer, *rest)
        elif code == CALL and rest[2] in self.meta.procedures:
            check_announced(peer, rest[1])
            self.meta.call(peer, *rest)
        elif code == CALL:
            self.dealer.call(peer, disclose, *rest)
        elif code == CANCEL:
            self.dealer.cancel(peer, *rest)
        elif code == REGISTER:
            self.registrations.register(peer, *rest)
        elif code == UNREGISTER:
            self.registrations.unregister(peer, *rest)
        elif code == YIELD:
            self.dealer.receive_yield(peer, *rest)
        elif code == ERROR:
            self.dealer.receive_error(peer, *rest)
        else:
            raise Violation

    def leave(self, *peers: Peer, goodbye: list[Any] | None = None, is_silent: bool = False) -> None:
        """Sessions end. Those that are killed are told, with the words of a GOODBYE.

        They stop to listen first of all; then their calls end, their registrations, their subscriptions; then their
        testaments are published, and it is told that they are gone.
        """
        for peer in peers:
            self.sessions.remove(peer)
        ended = [
            (peer, subscription, self.broker.remove(peer, subscription))
            for peer in peers
            for subscription in list(peer.subscriptions)
        ]
        for peer in peers:
            self.dealer.leave(peer)
        if goodbye is not None:
            for peer in peers:
                self.post.send(peer, *goodbye)
        for peer, subscription, was_last in ended:
            self.broker.tell_removal(peer, subscription, was_last)
        if not is_silent:
            for peer in peers:
                self.meta.left(peer)
