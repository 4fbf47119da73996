"""The realm does what a simple model says, message by message, whatever sessions do in whatever order."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from tests.fuzzing import fuzzing
from tests.router.model.sessions import HUGE, Peer
from tests.router.side_by_side import SideBySide

from rocade.router import publication

TOPICS = ["com.a", "com.a.x", "com.b.x", "org.a.x"]
PATTERNS = [
    ("com.a", None),
    ("com.a", "exact"),
    ("com.a.x", None),
    ("com.b.x", "exact"),
    ("com.", "prefix"),
    ("com.a", "prefix"),
    ("", "prefix"),
    ("com..x", "wildcard"),
    (".a.x", "wildcard"),
    ("..x", "wildcard"),
    ("com.a.", "wildcard"),
]
META_TOPICS = [
    ("wamp.", "prefix"),
    ("wamp.session.on_leave", None),
    ("wamp.registration.on_unregister", "exact"),
    ("wamp.subscription.", "prefix"),
    ("wamp..on_create", "wildcard"),
    ("..on_delete", "wildcard"),
]
BAD_URIS = [("com..a", None), ("com.a#", "prefix"), ("", "exact"), ("com. a.", "wildcard"), ("wamp.a", None)]

CALLER = {"progressive_call_results", "progressive_call_invocations", "call_canceling", "payload_passthru_mode"}
CALLEE = {*CALLER, "call_reroute", "registration_revocation"}
ALL = {
    "caller": CALLER,
    "callee": CALLEE,
    "publisher": {"payload_passthru_mode"},
    "subscriber": {"subscription_revocation"},
}
FEATURES = st.sampled_from(
    [
        {},
        *[ALL] * 5,
        {**ALL, "callee": CALLEE - {"call_canceling"}},
        {**ALL, "callee": {*CALLEE - {"call_canceling", "call_reroute"}, "call_cancelling"}},
        {**ALL, "caller": {"payload_passthru_mode"}, "subscriber": set()},
        {**ALL, "callee": {"call_canceling", "call_reroute"}, "caller": CALLER - {"payload_passthru_mode"}},
        {"callee": {"progressive_call_results", "payload_passthru_mode"}, "caller": {"progressive_call_results"}},
    ]
)
LIMITS = st.sampled_from(
    [{}, {}, {}, {"subscriptions": 2, "pending_calls": 2}, {"registrations": 1, "invocations": 2}, {"invocations": 0}]
)
WHICH = st.integers(0, 11)
"""Which one, of those that there are."""

SOMETIMES = st.sampled_from([False, False, False, True])
PPT = {"ppt_scheme": "x_mine", "ppt_serializer": "cbor", "ppt_keyid": "k1"}
PASSTHRU = st.sampled_from([{}, {}, {}, {}, PPT, {"ppt_scheme": "mqtt"}, {"ppt_scheme": "", "ppt_cipher": "x"}])
PAYLOAD = st.sampled_from(["", "", "args", "args", "kwargs", "both", HUGE])


def some(**options: Any) -> st.SearchStrategy[dict[str, Any]]:
    """Options of a message, of which each is left out more often than not."""
    return st.fixed_dictionaries({}, optional={key: st.sampled_from(values) for key, values in options.items()})


SHARED = some(concurrency=[1, 1, 2], forward_timeout=[True], disclose_caller=[True])
"""What several callees of one procedure may wish for."""


def restrictions(ids: list[int]) -> st.SearchStrategy[dict[str, Any]]:
    """Lists of whom an event is for."""
    of_ids = st.lists(st.sampled_from([*ids, 1]), max_size=3)
    authids = st.lists(st.sampled_from(["ann", "bob", "eve"]), max_size=2)
    roles = st.lists(st.sampled_from(["anonymous", "partner", "staff"]), max_size=2)
    lists = {"exclude": of_ids, "eligible": of_ids, "exclude_authid": authids, "eligible_authid": authids}
    return st.fixed_dictionaries({}, optional={**lists, "exclude_authrole": roles, "eligible_authrole": roles})


class Sessions(RuleBasedStateMachine):
    """Sessions of a realm, and of its model, that come and go."""

    def __init__(self) -> None:
        super().__init__()
        self.both = SideBySide()
        self.payloads = count(1)

    @property
    def peers(self) -> list[Peer]:
        return list(self.both.peers.values())

    def peer(self, which: int) -> Peer:
        """One of the sessions; there are always some."""
        while len(self.peers) < 2:
            self.both.join("ann", "staff", "json", ALL, takes_huge=True)
        return self.peers[which % len(self.peers)]

    def payload(self, kind: str) -> list[Any]:
        token = f"{kind} {next(self.payloads)}"
        if kind == "kwargs":
            return [[], {"token": token}]
        return {"": [], "both": [[token], {"token": token}]}.get(kind, [[token, [1, 2.5, None]]])

    @initialize(features=st.lists(FEATURES, min_size=2, max_size=4))
    def begin(self, features: list[Any]) -> None:
        for number, announced in enumerate([ALL, *features]):
            self.both.join(("ann", "bob", "eve")[number % 3], "anonymous", "json", announced, takes_huge=number != 1)

    @precondition(lambda self: len(self.peers) < 8)
    @rule(
        authid=st.sampled_from(["ann", "bob", "eve"]),
        authrole=st.sampled_from(["anonymous", "partner", "staff"]),
        serializer=st.sampled_from(["json", "json", "msgpack", "cbor"]),
        features=FEATURES,
        takes_huge=st.booleans(),
        limits=LIMITS,
    )
    def join(
        self, authid: str, authrole: str, serializer: str, features: Any, takes_huge: bool, limits: dict[str, int]
    ) -> None:
        self.both.join(authid, authrole, serializer, features, takes_huge=takes_huge, limits=limits)

    @precondition(lambda self: len(self.peers) > 2)
    @rule(which=WHICH)
    def leave(self, which: int) -> None:
        self.both.leave(self.peer(which))

    @rule(which=WHICH)
    def detach(self, which: int) -> None:
        self.both.detach(self.peer(which))

    @rule(seconds=st.sampled_from([0.31, 0.83, 2.17]))
    def wait(self, seconds: float) -> None:
        self.both.wait(seconds)

    def one_of(self, kind: str, which: int, number: int, is_wrong: bool) -> tuple[Peer, int]:
        """A session, and the id of one of its subscriptions or registrations, unless nobody has any."""
        owners = [peer for peer in self.peers if getattr(peer, kind)]
        if is_wrong or not owners:
            return self.peer(which), number + 1
        owner = owners[which % len(owners)]
        mine = getattr(owner, kind)
        return owner, mine[number % len(mine)].id


class Subscribers(Sessions):
    """Sessions that publish and subscribe."""

    @rule(
        which=WHICH,
        pattern=st.sampled_from([*PATTERNS, *PATTERNS, *PATTERNS, *META_TOPICS, *META_TOPICS, *BAD_URIS]),
        get_retained=st.booleans(),
    )
    def subscribe(self, which: int, pattern: tuple[str, str | None], get_retained: bool) -> None:
        options: dict[str, Any] = {} if pattern[1] is None else {"match": pattern[1]}
        if get_retained:
            options["get_retained"] = True
        self.both.request(self.peer(which), 32, options, pattern[0])

    @rule(which=WHICH, subscription=WHICH, is_wrong=SOMETIMES)
    def unsubscribe(self, which: int, subscription: int, is_wrong: bool) -> None:
        peer, id = self.one_of("subscriptions", which, subscription, is_wrong)
        self.both.request(peer, 34, id)

    @rule(
        which=WHICH,
        topic=st.sampled_from(["com.a"] * 8 + TOPICS * 2 + ["com..x", "wamp.session.on_join"]),
        options=some(acknowledge=[True, True, False], exclude_me=[True, False, False], disclose_me=[True, False]),
        retain=st.booleans(),
        is_restricted=st.booleans(),
        ppt=PASSTHRU,
        payload=PAYLOAD,
        disclose=SOMETIMES,
        data=st.data(),
    )
    def publish(
        self,
        which: int,
        topic: str,
        options: dict[str, Any],
        retain: bool,
        is_restricted: bool,
        ppt: dict[str, Any],
        payload: str,
        disclose: bool,
        data: st.DataObject,
    ) -> None:
        options = {**options, **ppt}
        if retain:
            options["retain"] = True
        if is_restricted:
            options |= data.draw(restrictions([peer.id for peer in self.peers]))
        self.both.request(self.peer(which), 16, options, topic, *self.payload(payload), disclose=disclose)

    @rule(which=WHICH, other=WHICH, options=some(exclude_me=[False], eligible_authid=[["ann", "bob"]]))
    def leave_an_event(self, which: int, other: int, options: dict[str, Any]) -> None:
        """Retain an event on a topic that has others; some session asks for what is there for it."""
        self.both.request(self.peer(which), 16, {"retain": True, **options}, "com.a", *self.payload("args"))
        for pattern in ({}, {"match": "prefix"}):
            self.both.request(self.peer(other), 32, {"get_retained": True, **pattern}, "com.a")


class Callers(Sessions):
    """Sessions that register and call."""

    @initialize(
        pattern=st.sampled_from(PATTERNS[:6]),
        invoke=st.sampled_from(["roundrobin", "roundrobin", "random", "first", "last"]),
        options=st.lists(SHARED, min_size=2, max_size=3),
    )
    def offer(self, pattern: tuple[str, str | None], invoke: str, options: list[dict[str, Any]]) -> None:
        """Several callees of one procedure."""
        for number, wishes in enumerate(options):
            peer = self.peer(number + 1)
            self.both.request(peer, 64, {**wishes, "match": pattern[1] or "exact", "invoke": invoke}, pattern[0])

    @rule(
        which=WHICH,
        pattern=st.sampled_from([*PATTERNS, *PATTERNS, *PATTERNS, *BAD_URIS]),
        invoke=st.sampled_from([None, "single", "roundrobin", "roundrobin", "random", "first", "last"]),
        options=some(
            concurrency=[1, 1, 2], disclose_caller=[True, False], forward_timeout=[True, False], force_reregister=[True]
        ),
    )
    def register(self, which: int, pattern: tuple[str, str | None], invoke: str | None, options: Any) -> None:
        options = dict(options)
        if pattern[1] is not None:
            options["match"] = pattern[1]
        if invoke is not None:
            options["invoke"] = invoke
        self.both.request(self.peer(which), 64, options, pattern[0])

    @rule(which=WHICH, number=WHICH, options=SHARED)
    def register_beside(self, which: int, number: int, options: Any) -> None:
        """Become one more callee of a shared registration."""
        shared = [it for it in self.both.model.registrations.all if it.invoke != "single"]
        if shared:
            registration = shared[number % len(shared)]
            options = {**options, "match": registration.match, "invoke": registration.invoke}
            self.both.request(self.peer(which), 64, options, registration.uri)

    @rule(which=WHICH, patterns=st.lists(st.sampled_from(PATTERNS[4:]), min_size=2, max_size=4, unique=True))
    def compete(self, which: int, patterns: list[tuple[str, str | None]]) -> None:
        """Register several patterns that are for the same procedure, and call it."""
        for number, (uri, match) in enumerate(patterns):
            self.both.request(self.peer(which + number), 64, {"match": match or "exact", "invoke": "last"}, uri)
        self.both.request(self.peer(which), 48, {}, "com.a.x")

    @rule(which=WHICH, registration=WHICH, is_wrong=SOMETIMES)
    def unregister(self, which: int, registration: int, is_wrong: bool) -> None:
        peer, id = self.one_of("registrations", which, registration, is_wrong)
        self.both.request(peer, 66, id)

    def procedure(self, number: int) -> str:
        """A procedure that is called: mostly one that is registered."""
        known = [self.example(it.uri, it.match) for it in self.both.model.registrations.all] or TOPICS
        return [*TOPICS, "com..x", "wamp.nothing"][number % 6] if number > 90 else known[number % len(known)]

    def example(self, uri: str, match: str) -> str:
        return ".".join(it or "a" for it in uri.split(".")) if match != "exact" else uri

    @rule(
        which=WHICH,
        number=st.integers(0, 99),
        options=some(
            timeout=[0, 1000, 3000], receive_progress=[True, True, True, False], disclose_me=[True, False], rkey=["r"]
        ),
        in_parts=st.booleans(),
        ppt=PASSTHRU,
        payload=PAYLOAD,
        disclose=SOMETIMES,
    )
    def call(
        self, which: int, number: int, options: Any, in_parts: bool, ppt: Any, payload: str, disclose: bool
    ) -> None:
        peer = self.peer(which)
        options = {**options, **ppt}
        if in_parts and (peer.can("caller", "progressive_call_invocations") or which == 0):
            options["progress"] = True
        self.both.request(peer, 48, options, self.procedure(number), *self.payload(payload), disclose=disclose)

    @rule(which=WHICH, number=WHICH, times=st.integers(2, 4), options=some(timeout=[1000, 3000]))
    def call_at_once(self, which: int, number: int, times: int, options: Any) -> None:
        """Make more calls of a procedure than its callees may want to have."""
        self.call_more(which, number, times, options)

    @rule(which=WHICH, number=WHICH, times=st.integers(3, 5))
    def decline_under_load(self, which: int, number: int, times: int) -> None:
        """Make more calls than callees want to have; one of them is declined, others are answered."""
        self.call_more(which, number, times, {})
        invoked = self.invoked(which, False)
        if invoked is not None:
            self.both.send(invoked[0], 8, 68, invoked[1], {}, "wamp.error.unavailable")
        for position in range(times):
            invoked = self.invoked(position, False)
            if invoked is not None:
                self.both.send(invoked[0], 70, invoked[1], {}, *self.payload("args"))

    def call_more(self, which: int, number: int, times: int, options: dict[str, Any]) -> None:
        procedure = self.procedure(number)
        for position in range(times):
            self.both.request(self.peer(which + position), 48, options, procedure, *self.payload("args"))

    @rule(which=WHICH, is_last=st.booleans(), is_wrong=st.sampled_from([False] * 9 + [True]), payload=PAYLOAD)
    def continue_call(self, which: int, is_last: bool, is_wrong: bool, payload: str) -> None:
        """Send one more part of a call; sometimes of one that has none, or of another procedure."""
        calls = [call for peer in self.peers for call in peer.calls.values() if call.is_open or is_wrong]
        if calls:
            call = calls[which % len(calls)]
            procedure = "org.a.x" if is_wrong and call.is_open else call.procedure
            # Options other than progress must have no effect.
            options = {"disclose_me": True} if is_last else {"progress": True, "timeout": 1}
            self.both.send(call.caller, 48, call.request, options, procedure, *self.payload(payload))

    @rule(which=WHICH, part=st.booleans())
    def continue_what_is_over(self, which: int, part: bool) -> None:
        peer = self.peer(which)
        if peer.last_request > 1 and peer.can("caller", "progressive_call_invocations"):
            request = which % peer.last_request + 1
            if request not in peer.calls:
                self.both.send(peer, 48, request, {"progress": True} if part else {}, "com.a")

    @rule(which=WHICH, mode=st.sampled_from([None, "skip", "kill", "kill", "killnowait"]), is_over=SOMETIMES)
    def cancel(self, which: int, mode: str | None, is_over: bool) -> None:
        calls = [call for peer in self.peers for call in peer.calls.values()]
        options = {} if mode is None else {"mode": mode}
        if calls and not is_over:
            call = calls[which % len(calls)]
            self.both.send(call.caller, 49, call.request, options)
        else:
            self.both.send(self.peer(which), 49, which + 1, options)

    def invoked(self, which: int, is_late: bool, *, progress: bool = False) -> tuple[Peer, int] | None:
        """A callee and one of its invocations, or one that it may have had; one that wants progress, if there is."""
        known = [(peer, invocation, call) for peer in self.peers for invocation, call in peer.invocations.items()]
        wanted = [it for it in known if "receive_progress" in it[2].details]
        invocations = [(peer, invocation) for peer, invocation, _ in (progress and wanted) or known]
        if is_late:
            late = [peer for peer in self.peers if peer.can("callee", "call_canceling") and peer.last_invocation]
            return (late[which % len(late)], which % late[0].last_invocation + 1) if late else None
        return invocations[which % len(invocations)] if invocations else None

    @rule(which=WHICH, is_late=SOMETIMES, progress=st.booleans(), ppt=PASSTHRU, payload=PAYLOAD)
    def yield_(self, which: int, is_late: bool, progress: bool, ppt: dict[str, Any], payload: str) -> None:
        invoked = self.invoked(which, is_late, progress=progress)
        if invoked is not None:
            callee, invocation = invoked
            if ppt and not callee.can("callee", "payload_passthru_mode") and which:
                ppt = {}
            options = {**ppt, **({"progress": True} if progress else {})}
            self.both.send(callee, 70, invocation, options, *self.payload(payload))

    @rule(which=WHICH, number=WHICH, times=st.integers(0, 3))
    def stream(self, which: int, number: int, times: int) -> None:
        """Make progress with a call that has a timeout, for longer than that."""
        options = {"timeout": 1000, "receive_progress": True}
        self.both.request(self.peer(which), 48, options, self.procedure(number), *self.payload("args"))
        for _ in range(times):
            invoked = self.invoked(which, False, progress=True)
            if invoked is not None:
                self.both.send(invoked[0], 70, invoked[1], {"progress": True}, *self.payload("args"))
            self.both.wait(0.83)

    @rule(which=WHICH, times=st.integers(1, 3), is_declined=st.booleans())
    def answer(self, which: int, times: int, is_declined: bool) -> None:
        """Callees get through some work, or will not have it."""
        for number in range(times):
            invoked = self.invoked(which + number, False)
            if invoked is not None and is_declined:
                self.both.send(invoked[0], 8, 68, invoked[1], {}, "wamp.error.unavailable")
            elif invoked is not None:
                self.both.send(invoked[0], 70, invoked[1], {}, *self.payload("args"))

    @rule(
        which=WHICH,
        is_late=SOMETIMES,
        error=st.sampled_from(["wamp.error.unavailable", "com.failed", "com.failed", "not a URI"]),
        ppt=PASSTHRU,
        payload=PAYLOAD,
    )
    def error(self, which: int, is_late: bool, error: str, ppt: dict[str, Any], payload: str) -> None:
        invoked = self.invoked(which, is_late)
        if invoked is not None:
            callee, invocation = invoked
            if ppt and not callee.can("callee", "payload_passthru_mode") and which:
                ppt = {}
            self.both.send(callee, 8, 68, invocation, ppt, error, *self.payload(payload))


class Watchers(Subscribers):
    """Sessions that use the meta API, too, and break the protocol."""

    def ask(self, which: int, procedure: str, *args: Any, **kwargs: Any) -> None:
        self.both.request(self.peer(which), 48, {}, procedure, list(args), kwargs)

    @rule(
        which=WHICH,
        number=WHICH,
        about=st.sampled_from(["registration", "subscription"]),
        uri=st.sampled_from([*TOPICS, "com.", "com..x", "wamp.session.on_leave"]),
    )
    def look_up(self, which: int, number: int, about: str, uri: str) -> None:
        who = "callees" if about == "registration" else "subscribers"
        _, id = self.one_of(f"{about}s", which, number, False)
        for procedure in ("get", f"list_{who}", f"count_{who}"):
            self.ask(which, f"wamp.{about}.{procedure}", id)
        self.ask(which, f"wamp.{about}.list")
        self.ask(which, f"wamp.{about}.match", uri)
        self.ask(which, f"wamp.{about}.lookup", uri)
        for match in ("exact", "prefix", "wildcard"):
            self.ask(which, f"wamp.{about}.lookup", uri, {"match": match})

    @rule(which=WHICH, other=WHICH, roles=st.sampled_from([[], [None], [["staff", "partner"]], [[]], ["a", "b"]]))
    def look_at_sessions(self, which: int, other: int, roles: list[Any]) -> None:
        if roles != ["a", "b"]:
            self.ask(which, "wamp.session.list", *roles)
        self.ask(which, "wamp.session.count", *roles)
        self.ask(which, "wamp.session.get", self.peer(other).id)

    @rule(
        which=WHICH,
        options=st.sampled_from([{"progress": True}, {"ppt_scheme": "x_mine"}, {"ppt_scheme": ""}, {"timeout": 1000}]),
        procedure=st.sampled_from(["wamp.session.count", "wamp.session.get"]),
    )
    def ask_strangely(self, which: int, options: dict[str, Any], procedure: str) -> None:
        self.both.request(self.peer(which), 48, options, procedure)

    @rule(
        which=WHICH,
        other=WHICH,
        how=st.sampled_from(["", "", "_by_authid", "_by_authrole", "_all"]),
        words=some(reason=["com.example.out", "no URI", None], message=["Go."]),
    )
    def kill(self, which: int, other: int, how: str, words: dict[str, Any]) -> None:
        victim = self.peer(other)
        whom = {"": [victim.id], "_by_authid": [victim.authid], "_by_authrole": [victim.authrole], "_all": []}[how]
        self.ask(which, f"wamp.session.kill{how}", *whom, **words)

    @rule(
        which=WHICH,
        other=WHICH,
        number=WHICH,
        about=st.sampled_from(["registration.remove_callee", "subscription.remove_subscriber"]),
        reason=st.sampled_from([[], ["com.example.moved"], ["no URI"]]),
        is_wrong=SOMETIMES,
    )
    def revoke(self, which: int, other: int, number: int, about: str, reason: list[str], is_wrong: bool) -> None:
        kind = about.split(".")[0] + "s"
        peer, id = self.one_of(kind, other, number, is_wrong)
        self.ask(which, f"wamp.{about}", id, 1 if is_wrong and which % 2 else peer.id, *reason)

    @rule(
        which=WHICH,
        topic=st.sampled_from([*TOPICS, *TOPICS, "wamp.a"]),
        options=some(
            retain=[True], exclude_me=[False], acknowledge=[True], disclose_me=[True], eligible_authid=[["ann"]]
        ),
        more=some(scope=["detached", "destroyed"]),
        payload=st.sampled_from(["", "args", "both"]),
    )
    def add_testament(self, which: int, topic: str, options: Any, more: Any, payload: str) -> None:
        if options:
            more = {**more, "publish_options": options}
        self.ask(which, "wamp.session.add_testament", topic, *self.payload(payload), **more)

    @rule(which=WHICH, other=WHICH)
    def bequeath(self, which: int, other: int) -> None:
        """Leave something of each scope to somebody who listens."""
        self.both.request(self.peer(other), 32, {}, "com.a")
        for scope in ("destroyed", "detached", "destroyed"):
            self.ask(which, "wamp.session.add_testament", "com.a", *self.payload("args"), scope=scope)

    @rule(which=WHICH, scope=some(scope=["detached", "destroyed"]))
    def flush_testaments(self, which: int, scope: dict[str, Any]) -> None:
        self.ask(which, "wamp.session.flush_testaments", **scope)

    @precondition(lambda self: len(self.peers) > 3)
    @rule(
        which=WHICH,
        message=st.sampled_from(
            [
                (16, 7, {}, "com.a"),
                (48, 1, {}, "com.a"),
                (32, 0, {}, "com.a"),
                (70, 0, {}),
                (8, 0, 68, {}, "com.failed"),
                (8, 1, 48, {}, "com.failed"),
                (36, 1, 1, {}),
                (50, 1, {}),
            ]
        ),
    )
    def break_the_protocol(self, which: int, message: tuple[Any, ...]) -> None:
        """A request id that is not due, an answer to nothing, something that only routers send."""
        peer = self.peer(which)
        code, number, *rest = message
        if code in (16, 48, 32):
            self.both.send(peer, code, peer.last_request + number + 1 if number else max(peer.last_request, 1), *rest)
        elif code == 70:
            self.both.send(peer, code, peer.last_invocation + 1, *rest)
        elif code == 8 and number == 0:
            self.both.send(peer, code, 68, peer.last_invocation + 1, *rest[1:])
        elif code == 8:
            self.both.send(peer, code, 48, peer.last_invocation + 1, *rest[1:])
        else:
            self.both.send(peer, *message)

    def teardown(self) -> None:
        for peer in self.peers:
            self.both.leave(peer)


class Everybody(Watchers, Callers):
    """Sessions that do all this."""


def side_by_side(machine: type[RuleBasedStateMachine], examples: int) -> Any:
    """A test that runs a machine."""
    case = machine.TestCase
    case.settings = fuzzing(examples, stateful_step_count=40)
    return case


TestSubscribers = side_by_side(Subscribers, 150)
TestWatchers = side_by_side(Watchers, 200)
TestCallers = side_by_side(Callers, 600)
TestEverybody = side_by_side(Everybody, 250)


class Crowds(Subscribers):
    """Subscribers of whom there are so many that their EVENTs are made one after the other."""


@pytest.fixture
def _few_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publication, "MANY_SUBSCRIPTIONS", 1)
    monkeypatch.setattr(publication, "MANY_SUBSCRIBERS", 1)


TestCrowds = pytest.mark.usefixtures("_few_are_many")(side_by_side(Crowds, 100))
