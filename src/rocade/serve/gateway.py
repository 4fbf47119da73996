"""All realms and listeners of a process: links bring connections, and connections open sessions in realms.

What realms decide is carried out by `serve.delivery`, and written by `serve.flushing`.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Mapping, Sequence

from rocade.errors import ConfigurationError, HandshakeRefused
from rocade.net.addresses import Proxies, address_of
from rocade.net.door import Door, DoorLimits
from rocade.net.link import Link, Receiver
from rocade.router.history import HistoryRule
from rocade.router.permissions import Role
from rocade.router.realm import Realm
from rocade.router.session import Session
from rocade.serve.authentication import Authenticator
from rocade.serve.authorization import Authorizer, RolePermissions
from rocade.serve.checking import Worker
from rocade.serve.connection import Connection
from rocade.serve.counters import Counters
from rocade.serve.delivery import Delivery, EventStore
from rocade.serve.failed_logins import FailedLogins, LoginPolicy
from rocade.serve.flushing import Flusher
from rocade.serve.implied import ImpliedRequests
from rocade.serve.limits import Allowances, Full, Usage
from rocade.serve.login_procedures import LoginProcedures
from rocade.serve.outbox import DEFAULT_MAX_OUTBOX_BYTES
from rocade.serve.refusals import Refusals
from rocade.serve.session import ConnectedSession
from rocade.wamp.patience import time_with
from rocade.wamp.uris import is_reserved, is_uri, shown

__all__ = ["DEFAULT_RESUME_WINDOW", "Gateway"]

DEFAULT_RESUME_WINDOW = 30.0
"""Seconds that a resumable session outlives its connection."""


class Gateway:
    """All realms of a process, and the machinery that moves their messages.

    Attributes:
        realms: realm name -> realm.
        event_stores: realm name -> where its event history is kept, of realms that do not keep it in memory.
        connections: all that are open, in a session or not.
        authorizer: asked about every request.
        refusals: tells the operator what was refused.
        implied: asks the authorizer about what requests imply.
        agent: how the router names itself to clients.
        max_outbox_bytes: bytes that may wait for one client before it is disconnected.
        resume_window: seconds that a resumable session outlives its connection; 0 when none does.
        counters: how often limits were reached, and logins failed.
        failed_logins: what failed logins lead to.
        checking: looks through long messages of clients.
        translating: puts the payload of long messages into other serializers.
        flusher: of the outboxes.
        delivery: carries out what the realms decide.
    """

    def __init__(
        self,
        *,
        agent: str = "Rocade",
        max_outbox_bytes: int = DEFAULT_MAX_OUTBOX_BYTES,
        authorizer: Authorizer | None = None,
        source: random.Random | None = None,
        resume_window: float = DEFAULT_RESUME_WINDOW,
        max_sessions: int = 0,
        logins: LoginPolicy | None = None,
    ) -> None:
        """
        Args:
            agent: WELCOME.Details.agent.
            max_outbox_bytes: bytes that may wait for one client before it is disconnected as too slow.
            authorizer: asked about every request; the permissions of roles by default.
            source: of ids and of random choices; tests pass a seeded one.
            resume_window: seconds that a resumable session outlives its connection; 0 offers no resumption.
            max_sessions: sessions of all realms together; 0 is any number.
            logins: what failed logins lead to.
        """
        self.agent = agent
        self.max_outbox_bytes = max_outbox_bytes
        self.resume_window = resume_window
        self.authorizer: Authorizer = authorizer or RolePermissions()
        self.refusals = Refusals()
        self.implied = ImpliedRequests(self)
        self.realms: dict[str, Realm] = {}
        self.event_stores: dict[str, EventStore] = {}
        self.connections: set[Connection] = set()
        self.counters = Counters()
        self.failed_logins = FailedLogins(logins or LoginPolicy(), self.counters, _loop_time)
        self._max_sessions = max_sessions
        # realm name -> what its sessions have of what they may have
        self._usages: dict[str, Usage] = {}
        self._random = source or random.Random()
        # Publication ids are seen by everybody and drawn quickly; nobody should guess session ids from them.
        self._unpredictable = source or random.SystemRandom()
        # What decoding takes too long in the loop, the first of them does.
        time_with(time.thread_time)
        # Two, so that neither holds up the other; none of them has a process before it has something to do.
        self.checking = Worker("checking")
        self.translating = Worker("translating")
        self.flusher = Flusher()
        self.delivery = Delivery(self.flusher, self.translating, self.event_stores, self.limit_reached)
        self._closing = False
        self._no_connections: asyncio.Event | None = None

    # --- realms -----------------------------------------------------------------------------------

    def add_realm(
        self,
        name: str,
        roles: Sequence[Role],
        *,
        strict_uris: bool = False,
        sequential_requests: bool = True,
        history: Sequence[HistoryRule] = (),
        has_event_store: bool = False,
        allowances: Allowances | None = None,
    ) -> Realm:
        """Open a realm.

        Args:
            name: its name, a URI outside "wamp.".
            roles: the roles that its sessions may have.
            strict_uris: accept only lower-case letters, digits and "_" in URI components.
            sequential_requests: abort sessions whose request ids do not count up by one.
            history: which events are kept.
            has_event_store: whether they are kept by a store that is put among `event_stores`, rather than in memory.
            allowances: what its sessions may have.
        Raises:
            ConfigurationError: the name cannot be used, or is taken.
        """
        if not is_uri(name) or is_reserved(name):
            raise ConfigurationError("", f"{shown(name)} cannot be the name of a realm: it is no valid URI")
        if name in self.realms:
            raise ConfigurationError("", f"there is a realm {shown(name)} already")
        allowances = allowances or Allowances()
        realm = self.realms[name] = Realm(
            name,
            {role.name: role for role in roles},
            random_id=self.random_id,
            random_below=self._random.randrange,
            wall_clock=time.time,
            authorize=self.implied.authorize,
            strict_uris=strict_uris,
            sequential_requests=sequential_requests,
            history=history,
            has_event_store=has_event_store,
            limits=allowances.together,
        )
        self._usages[name] = Usage(realm, allowances, _loop_time)
        realm.meta.add(LoginProcedures().procedures())
        return realm

    def end_session(self, session: ConnectedSession, reason: str, message: str) -> None:
        """End a session whose time is over, if it is still there."""
        realm = self.realms.get(session.realm)
        if realm is not None and realm.sessions.get(session.id) is session:
            self.delivery.carry_out(realm, realm.end((session,), reason, message))

    def random_id(self) -> int:
        """A global-scope id: uniform over [1, 2^53]."""
        return self._random.getrandbits(53) + 1

    def new_session_id(self) -> int:
        """A global-scope id that no open session has."""
        while True:
            id = self._unpredictable.getrandbits(53) + 1
            if not any(id in realm.sessions for realm in self.realms.values()):
                return id

    # --- limits -----------------------------------------------------------------------------------

    def usage(self, realm: Realm) -> Usage:
        """What the sessions of a realm have of what they may have."""
        return self._usages[realm.name]

    def check_room(self, realm: Realm, authid: str, role: str) -> None:
        """Make sure that one more session may join.

        Args:
            realm: where.
            authid: who it would be.
            role: its role.
        Raises:
            HandshakeRefused: it may not.
        """
        most = self._max_sessions
        if most and sum(len(realm.sessions) for realm in self.realms.values()) >= most:
            raise Full("sessions", f"the router has the {most} sessions that it may have")
        self._usages[realm.name].check_room(authid, role)

    def limit_reached(self, session: Session, limit: str, text: str) -> None:
        """Tell the operator of a session that has come to a limit.

        Args:
            session: which.
            limit: the limit's name.
            text: what follows for the client.
        """
        connection = session.connection if isinstance(session, ConnectedSession) else None
        if connection is not None:
            connection.limit_reached(limit, text)
        else:
            peer = str(session.transport.get("peer", "the router"))
            self.counters.limit_reached(limit, address_of(peer) or peer, text)

    def door(self, limits: DoorLimits, proxies: Proxies) -> Door:
        """What counts the connections of one transport.

        Args:
            limits: how many it accepts.
            proxies: whose word is taken for where their clients come from.
        """
        return Door(limits, proxies, self.counters.limit_reached)

    # --- connections ------------------------------------------------------------------------------

    def entrance(
        self, authenticators: Mapping[str, Authenticator], door: Door | None = None
    ) -> Callable[[Link], Receiver]:
        """What a listener calls with each new link, for clients that get in by these methods.

        Args:
            authenticators: authentication method -> authenticator.
            door: of the transport; None for one without limits.
        """
        at = door or self.door(DoorLimits(handshakes_per_address=0), Proxies())

        def connected(link: Link) -> Receiver:
            connection = Connection(link, self, authenticators, at)
            self.connections.add(connection)
            return connection

        return connected

    def check_open(self, name: str) -> None:
        """Make sure that sessions may be opened, and that a client asks for a realm that might exist.

        Args:
            name: the realm's.
        Raises:
            HandshakeRefused: the router is closing, or the name is no URI.
        """
        if self._closing:
            raise HandshakeRefused("wamp.close.system_shutdown", "the router is shutting down")
        if name not in self.realms and not is_uri(name):
            raise HandshakeRefused("wamp.error.invalid_uri", f"{shown(name)} is no valid URI")

    def realm_for_session(self, name: str) -> Realm:
        """The realm that a client asks for.

        Raises:
            HandshakeRefused: there is none of that name, or it is no URI, or the router is closing.
        """
        self.check_open(name)
        realm = self.realms.get(name)
        if realm is None:
            raise HandshakeRefused("wamp.error.no_such_realm", f"there is no realm {shown(name)}")
        return realm

    def connection_closed(self, connection: Connection) -> None:
        """A connection is gone for good."""
        self.connections.discard(connection)
        if not self.connections and self._no_connections is not None:
            self._no_connections.set()

    # --- the end ----------------------------------------------------------------------------------

    async def shutdown(self, timeout: float = 1.0) -> None:
        """Say GOODBYE to all sessions and close their connections.

        Args:
            timeout: seconds that clients have to answer and go.
        """
        self._closing = True
        self._no_connections = asyncio.Event()
        for connection in list(self.connections):
            connection.say_goodbye("wamp.close.system_shutdown", "the router is shutting down")
        for session in [session for realm in self.realms.values() for session in realm.sessions.values()]:
            if isinstance(session, ConnectedSession) and session.resumption is not None:
                session.resumption.end("the router is shutting down")
        self.flusher.flush()
        if self.connections:
            try:
                async with asyncio.timeout(timeout):
                    await self._no_connections.wait()
            except TimeoutError:
                pass
        # Before, since what sessions leave behind may be for others.
        self.delivery.finish()
        for connection in list(self.connections):
            connection.close()
        self.delivery.close()
        self.checking.close()
        self.translating.close()


def _loop_time() -> float:
    return asyncio.get_running_loop().time()
