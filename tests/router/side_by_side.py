"""A realm and its model, fed with the same messages; what each session gets from the two is compared.

Both ends are the wire: messages go in as bytes, in the serializer of who sends them, and what is compared has been
encoded for who gets it.
"""

from __future__ import annotations

from itertools import count
from typing import Any

import cbor2
import msgspec
from tests.router.model.broker import Publication
from tests.router.model.realm import Model
from tests.router.model.sessions import HUGE, WORDS, Peer
from tests.router.scene import unfolded

from rocade.errors import ProtocolViolation
from rocade.router.calls import PendingCall
from rocade.router.effects import CancelWake, Deliver, Effect, EndSession, LimitReached, Series, ServeWaiting, WakeAt
from rocade.router.limits import SessionLimits
from rocade.router.permissions import Permission, Role
from rocade.router.realm import Realm
from rocade.router.session import Session
from rocade.wamp.codec import SERIALIZERS
from rocade.wamp.messages import Call, ClientRoles, Match, Publish, Register, Subscribe, Unregister, Unsubscribe
from rocade.wamp.messages import Role as ClientRole

REQUESTS = (Call, Publish, Subscribe, Unsubscribe, Register, Unregister)
EVERYWHERE = Permission(uri="", match=Match.PREFIX, call=True, register=True, publish=True, subscribe=True)
ROLES = {"anonymous": None, "partner": 2, "staff": 0}
"""Name of a role -> trust level."""

ENCODE = {"json": msgspec.json.encode, "msgpack": msgspec.msgpack.encode, "cbor": cbor2.dumps}
DECODE = {"json": msgspec.json.decode, "msgpack": msgspec.msgpack.decode, "cbor": cbor2.loads}
PAYLOAD_OF_ANSWERS = {8: 5, 36: 4, 50: 3, 68: 4}


class Client(Session):
    """A session of the realm, with what would be its client's inbox."""

    __slots__ = ("inbox", "takes_huge")

    inbox: list[Any]
    takes_huge: bool


class SideBySide:
    """A realm, its model, and the time.

    Attributes:
        peers: the model's sessions that are there.
        model: the model.
    """

    def __init__(self) -> None:
        self.model = Model(self._random_below)
        self.peers: dict[int, Peer] = {}
        self._now = 0.0
        self._steps = 0
        publications = count(2**40)
        self.realm = Realm(
            "realm1",
            roles := {name: Role(name, [EVERYWHERE], trustlevel=level) for name, level in ROLES.items()},
            random_id=lambda: next(publications),
            random_below=self._random_below,
            wall_clock=lambda: 1709208000 + self._now,
        )
        self._roles = roles
        self._clients: dict[int, Client] = {}
        self._timers: dict[PendingCall, float] = {}
        # publication of the model -> its id in the realm
        self._publications: dict[Publication, int] = {}

    def _random_below(self, limit: int) -> int:
        # The same for both in one step, however often either asks.
        return (self._steps * 2654435761 >> 7) % limit

    # --- what may happen --------------------------------------------------------------------------

    def join(
        self,
        authid: str,
        authrole: str,
        serializer: str,
        features: dict[str, set[str]],
        *,
        takes_huge: bool,
        limits: dict[str, int] | None = None,
    ) -> Peer:
        """A session begins."""
        self._tick()
        id = 9000 + self._steps
        peer = self.peers[id] = Peer(id, authid, authrole, ROLES[authrole], features, takes_huge, limits or {})
        roles = ClientRoles(**{role: ClientRole(dict.fromkeys(names, True)) for role, names in features.items()})
        client = Client(
            id,
            "realm1",
            self._roles[authrole],
            SERIALIZERS[serializer],
            authid=authid,
            roles=roles,
            limits=SessionLimits(**limits or {}),
        )
        client.inbox, client.takes_huge = [], takes_huge
        self._clients[id] = client
        self.model.join(peer)
        self._carry_out(self.realm.join(client))
        self._compare("join")
        return peer

    def leave(self, peer: Peer) -> None:
        """A session ends."""
        self._tick()
        self.model.leave(peer)
        self._carry_out(self.realm.leave(self._clients[peer.id]))
        self._compare("leave")

    def detach(self, peer: Peer) -> None:
        """A session loses its connection, but lives on."""
        self._tick()
        self.model.detach(peer)
        self._carry_out(self.realm.detach(self._clients[peer.id]))
        self._compare("detach")

    def wait(self, seconds: float) -> None:
        """Time passes."""
        self._tick(seconds)
        self.model.wait_until(self._now)
        while late := [pending for pending, when in self._timers.items() if when <= self._now]:
            pending = min(late, key=self._timers.__getitem__)
            # It is as late as that when it is woken, and no later.
            self._carry_out(self.realm.wake(pending, self._timers.pop(pending)))
        self._compare(f"wait {seconds}")

    def send(self, peer: Peer, *message: Any, disclose: bool = False) -> bool:
        """A session sends a message; whether it is aborted for it."""
        self._tick()
        client = self._clients[peer.id]
        is_expected = self.model.receive(peer, list(message), disclose)
        is_aborted = False
        try:
            effects = self._receive(client, list(message), disclose)
        except ProtocolViolation:
            is_aborted = True
            effects = self.realm.leave(client)
        self._carry_out(effects)
        assert is_aborted == is_expected, f"{message}: is the session aborted?"
        self._compare(message)
        return is_aborted

    def request(self, peer: Peer, code: int, *rest: Any, disclose: bool = False) -> bool:
        """A session sends a message with the request id that is due."""
        return self.send(peer, code, peer.last_request + 1, *rest, disclose=disclose)

    def _tick(self, seconds: float = 0.0007) -> None:
        self._steps += 1
        self._now += seconds
        self.model.dealer.now = self._now if seconds < 0.001 else self.model.dealer.now

    # --- the part of the gateway ------------------------------------------------------------------

    def _receive(self, client: Client, array: list[Any], disclose: bool) -> list[Effect]:
        name = client.serializer.name
        message: Any = client.serializer.decode(ENCODE[name](array))
        if isinstance(message, REQUESTS) and not client.take_request(message.request, is_call=type(message) is Call):
            return self.realm.continue_call(client, message)
        return self.realm.receive(client, message, self._now, disclose)

    def _carry_out(self, effects: list[Effect]) -> None:
        for effect in effects:
            if type(effect) is Deliver:
                for receiver in effect.receivers:
                    assert isinstance(receiver, Client)
                    effects.extend(self._deliver(receiver, effect))
            elif type(effect) is Series:
                self._carry_out(list(unfolded([effect])))
            elif type(effect) is EndSession:
                self._clients[effect.session.id].inbox.append(["GOODBYE", effect.reason, effect.message])
            elif type(effect) is ServeWaiting:
                effects.extend(self.realm.serve_waiting(effect.registration))
            elif type(effect) is WakeAt:
                assert effect.pending not in self._timers
                self._timers[effect.pending] = effect.when
            elif type(effect) is CancelWake:
                self._timers.pop(effect.pending, None)
            else:
                assert type(effect) is LimitReached, effect

    def _deliver(self, client: Client, effect: Deliver) -> list[Effect]:
        data = client.serializer.encode(effect.message, effect.origin)
        if HUGE.encode() in data and not client.takes_huge:
            uri = "wamp.error.payload_size_exceeded"
            return self.realm.undeliverable(client, effect.message, uri, "too large for its receiver")
        message = DECODE[client.serializer.name](data)
        start = PAYLOAD_OF_ANSWERS.get(message[0])
        if start is not None:
            message += [[], {}][len(message) - start :]
        client.inbox.append(message)
        return []

    # --- the comparison ---------------------------------------------------------------------------

    def _compare(self, step: Any) -> None:
        expected = self.model.take()
        self.peers = {peer.id: peer for peer in self.model.sessions}
        assert list(self.realm.sessions) == list(self.peers), f"{step}: which sessions are there?"
        for client in self._clients.values():
            due, got = expected.get(client.id, []), client.inbox
            client.inbox = []
            assert self._agree(due, got), f"{step}\nsession {client.id} should have got {due}\nit got {got}"
        timed = [call for peer in self.model.sessions for call in peer.calls.values() if call.deadline is not None]
        assert len(self._timers) == len(timed), f"{step}: how many calls are timed?"
        self._clients = {id: client for id, client in self._clients.items() if id in self.peers}

    def _agree(self, due: Any, got: Any) -> bool:
        if due is WORDS:
            return type(got) is list and len(got) == 1 and type(got[0]) is str and got[0] != ""
        if type(due) is Publication:
            # Any id will do, if it is always the same for this publication and for no other.
            is_new = due not in self._publications and got not in self._publications.values()
            return type(got) is int and (is_new or self._publications.get(due) == got) and self._note(due, got)
        if type(due) is list and type(got) is list:
            return len(due) == len(got) and all(map(self._agree, due, got))
        if type(due) is dict and type(got) is dict:
            return due.keys() == got.keys() and all(self._agree(due[key], got[key]) for key in due)
        return type(due) is type(got) and due == got

    def _note(self, publication: Publication, id: int) -> bool:
        self._publications[publication] = id
        return True
