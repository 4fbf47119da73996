"""Policies and what they decide: through the roles that a file describes, and through a router that runs it.

Each row is a policy as a configuration file has it. Those marked "Crossbar" are decided otherwise there, or were
reported as bugs of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from rocade.node.configuration import Configuration, configuration_from
from rocade.node.policy import role
from rocade.node.worker import Worker
from rocade.router.permissions import Action, Permission, Role
from rocade.router.templates import filled
from rocade.wamp.messages import Match

ALL = {"call": True, "register": True, "publish": True, "subscribe": True}


def allow(uri: str, match: str | None = None, **actions: bool) -> dict[str, Any]:
    """A permission for some actions, or for all if none is named."""
    permission: dict[str, Any] = {"uri": uri, "allow": actions or ALL}
    return permission if match is None else permission | {"match": match}


def deny(uri: str, match: str | None = None) -> dict[str, Any]:
    permission: dict[str, Any] = {"uri": uri, "allow": {}}
    return permission if match is None else permission | {"match": match}


class Policy(NamedTuple):
    """What a role may do, and then questions and answers: "call com.example.add" or "subscribe com. prefix"."""

    name: str
    permissions: list[dict[str, Any]]
    yes: Sequence[str] = ()
    no: Sequence[str] = ()


def each(*uris: str) -> list[str]:
    """All actions on these."""
    return [f"{action.value} {uri}" for action in Action for uri in uris]


POLICIES = [
    Policy("no rules", [], no=each("com.example", "com", "wamp.session.count")),
    Policy("star", [allow("*")], yes=each("com.example", "com", "a.b.c.d")),
    Policy(
        "star for some actions, as in the articles",
        [allow("*", call=True, subscribe=True)],
        yes=["call com.x", "subscribe com.x", "subscribe com. prefix", "subscribe  prefix"],
        no=["publish com.x", "register com.x", "register com. prefix"],
    ),
    Policy("the empty prefix is everything", [allow("", "prefix")], yes=each("com", "com.x")),
    Policy(
        "nothing is granted by a rule that names no action",
        [{"uri": "*"}, {"uri": "com.a", "allow": {"call": False}}],
        no=each("com.a", "com.b"),
    ),
    Policy(
        "version 1",
        [{"uri": "*", "publish": True, "subscribe": True, "call": False}, {"uri": "com.x", "call": True}],
        yes=["publish com.y", "subscribe com.y", "call com.x"],
        no=["call com.y", "register com.y", "publish com.x"],
    ),
    Policy(
        "exact",
        [allow("com.foo")],
        yes=each("com.foo"),
        no=each("com", "com.foo.bar", "com.fo", "com.foo_", "com.Foo", "xcom.foo"),
    ),
    Policy(
        "Crossbar: an exact URI that another one begins with does not hide the prefix",
        [allow("com.*"), deny("com.foo")],
        yes=each("com.foobar", "com.foo.bar"),
        no=each("com.foo"),
    ),
    Policy(
        "Crossbar: nor does it if it allows something else",
        [allow("com.*", call=True), allow("com.foo", publish=True)],
        yes=["call com.foobar", "call com.foo.x", "publish com.foo"],
        no=["publish com.foobar", "call com.foo"],
    ),
    Policy(
        "prefix without a dot matches longer words", [allow("com.foo", "prefix")], yes=each("com.foo", "com.foobar")
    ),
    Policy(
        "prefix with a dot does not",
        [allow("com.foo.", "prefix")],
        yes=each("com.foo.bar", "com.foo.b.c"),
        no=each("com.foo", "com.foobar"),
    ),
    Policy(
        "star within a word", [allow("com.foo*")], yes=each("com.foo", "com.foobar", "com.foo.x"), no=each("com.fo")
    ),
    Policy(
        "exact allows within a prefix that forbids",
        [deny("com.*"), allow("com.open")],
        yes=each("com.open"),
        no=each("com.x", "com.open.x"),
    ),
    Policy(
        "the longer prefix decides",
        [allow("com.*"), deny("com.a.*"), allow("com.a.b.*")],
        yes=each("com.x", "com.a.b.c"),
        no=each("com.a.x", "com.a.b"),
    ),
    Policy(
        "the longer prefix decides, whatever the order",
        [allow("com.a.b.*"), deny("com.a.*"), allow("com.*")],
        yes=each("com.x", "com.a.b.c"),
        no=each("com.a.x", "com.a.b"),
    ),
    Policy(
        "the longer prefix decides for all actions, not only for those that it names",
        [allow("com.*", call=True), allow("com.a.*", subscribe=True)],
        yes=["call com.x", "subscribe com.a.x"],
        no=["call com.a.x", "subscribe com.x"],
    ),
    Policy(
        "wildcard",
        [allow("com..edit", "wildcard")],
        yes=each("com.a.edit"),
        no=each("com.edit", "com.a.b.edit", "com.a.edit.x", "org.a.edit"),
    ),
    Policy("star in the middle", [allow("com.*.edit")], yes=each("com.a.edit"), no=each("com.a.b.edit", "com.edit")),
    Policy("two stars", [allow("com.*.foo.*")], yes=each("com.a.foo.b"), no=each("com.a.foo", "com.a.foo.b.c")),
    Policy(
        "Crossbar: two wildcards with the same prefix",
        [allow("com..start", "wildcard", call=True), allow("com..stopped", "wildcard", subscribe=True)],
        yes=["call com.a.start", "subscribe com.a.stopped"],
        no=["subscribe com.a.start", "call com.a.stopped", "call com.a.x"],
    ),
    Policy(
        "two wildcards that cross: the first literal decides",
        [deny("com..x", "wildcard"), allow("com.app.", "wildcard")],
        yes=each("com.app.x", "com.app.y"),
        no=each("com.b.x"),
    ),
    Policy(
        "two wildcards that cross, the other way round",
        [allow("com.app.", "wildcard"), deny("com..x", "wildcard")],
        yes=each("com.app.x", "com.app.y"),
        no=each("com.b.x"),
    ),
    Policy(
        "a wildcard forbids within everything",
        [allow("*"), deny("com..secret", "wildcard")],
        yes=each("com.a.open", "com.secret", "com.a.b.secret"),
        no=each("com.a.secret", "com.b.secret"),
    ),
    Policy(
        "a wildcard beats even a longer prefix, as in Crossbar",
        [allow("com.app.*"), deny("com..secret", "wildcard")],
        yes=each("com.app.open"),
        no=each("com.app.secret"),
    ),
    Policy(
        "Crossbar: a wildcard that does not match does not matter",
        [allow("com.*"), deny("com..secret", "wildcard"), allow("com.a.secret")],
        yes=each("com.a.secret", "com.x"),
        no=each("com.b.secret"),
    ),
    Policy(
        "Crossbar: wildcards at the ends",
        [allow(".edit", "wildcard"), allow("app.", "wildcard")],
        yes=each("x.edit", "app.x"),
        no=each("x.y", "app", "app.x.y", "x.y.edit"),
    ),
    Policy("a wildcard of one component", [allow("", "wildcard")], yes=each("com"), no=each("com.x")),
    Policy(
        "Crossbar: who may subscribe to a topic may not to what begins with it",
        [allow("com.chat", subscribe=True)],
        yes=["subscribe com.chat"],
        no=["subscribe com.chat prefix", "subscribe com.chat wildcard", "subscribe com. prefix"],
    ),
    Policy(
        "patterns within a prefix",
        [allow("com.a.*")],
        yes=["subscribe com.a. prefix", "subscribe com.a.b prefix", "register com.a.. wildcard"],
        no=["subscribe com.a prefix", "subscribe com. prefix", "subscribe  prefix", "subscribe com..b wildcard"],
    ),
    Policy(
        "patterns with a secret in them",
        [allow("com.*"), deny("com.a.secret")],
        yes=["subscribe com.b prefix", "subscribe com..open wildcard", "register com.a.secret. prefix"],
        no=[
            "subscribe com. prefix",
            "subscribe com.a prefix",
            "subscribe com.. wildcard",
            "register com..secret wildcard",
        ],
    ),
    Policy(
        "patterns with a whole forbidden prefix in them",
        [allow("com.*"), deny("com.a.*")],
        yes=["subscribe com.b. prefix"],
        no=["subscribe com. prefix", "subscribe com.a.b prefix", "subscribe com..b wildcard"],
    ),
    Policy(
        "patterns within wildcards",
        [allow("com..edit", "wildcard")],
        yes=["register com..edit wildcard"],
        no=["register com.. wildcard", "register com.a prefix", "register com..edit. wildcard"],
    ),
    Policy(
        "what belongs to the protocol",
        [allow("*", call=True, register=True, publish=True)],
        yes=["call wamp.session.count", "call wamp.registration.list"],
        no=["call wamp.session.kill", "call wamp.registration.remove_callee", "call rocade.authorization.forget"],
    ),
    Policy(
        "what belongs to the protocol, for administrators",
        [allow("*", call=True), allow("wamp.*", call=True)],
        yes=["call wamp.session.kill_all", "call wamp.session.count"],
        no=["call rocade.authorization.forget"],
    ),
    Policy(
        "a wildcard in general is not meant for what harms others",
        [allow("..", "wildcard", call=True)],
        yes=["call a.b.c"],
        no=["call wamp.session.kill"],
    ),
    Policy(
        "one meta procedure",
        [allow("wamp.session.count", call=True)],
        yes=["call wamp.session.count"],
        no=["call wamp.session.list", "call wamp.session.kill"],
    ),
    Policy("letters of all kinds", [allow("grüße.*")], yes=each("grüße.日本", "grüße.a-b:c/d"), no=each("grüsse.x")),
    Policy("a star in a URI is nothing special", [allow("com.*")], yes=each("com.*"), no=each("*")),
    Policy(
        "a namespace for everybody",
        [allow("user.{authid}.*"), allow("public.*", subscribe=True)],
        yes=[*each("user.{authid}.x"), "subscribe user.{authid}. prefix", "subscribe public.x"],
        no=[*each("user.joey.x", "user.{authid}", "user.{authid}y.x", "user.x"), "subscribe user. prefix"],
    ),
    Policy(
        "a namespace for everybody, within one that is forbidden",
        [allow("*"), deny("user.*"), allow("user.{authid}.*")],
        yes=each("user.{authid}.x", "com.x"),
        no=[*each("user.other.x"), "subscribe user. prefix", "subscribe  prefix", "subscribe user..x wildcard"],
    ),
    Policy(
        "a topic for everybody",
        [allow("inbox.{authid}", subscribe=True), allow("inbox.*", publish=True)],
        yes=["subscribe inbox.{authid}", "publish inbox.other"],
        no=["subscribe inbox.other", "publish inbox.{authid}", "subscribe inbox.{authid} prefix"],
    ),
    Policy(
        "a template among wildcards",
        [allow("room.*.{authid}.say"), allow("room.*.*.say", subscribe=True)],
        yes=["publish room.a.{authid}.say", "subscribe room.a.other.say", "register room..{authid}.say wildcard"],
        no=["publish room.a.other.say", "publish room.a.{authid}.x", "register room...say wildcard"],
    ),
    Policy(
        "a template of the session",
        [allow("reply.{session}.*")],
        yes=each("reply.{session}.x"),
        no=each("reply.1.x", "reply.{authid}.x"),
    ),
    Policy(
        "both",
        [allow("at.{authid}.{session}")],
        yes=each("at.{authid}.{session}"),
        no=each("at.{session}.{authid}", "at.{authid}.1"),
    ),
    Policy(
        "a rule about one user before the template for all",
        [allow("user.{authid}.*"), deny("user.joe.*")],
        yes=each("user.{authid}.x"),
        no=each("user.joe.x"),
    ),
]
assert len(POLICIES) >= 40


def asked(question: str, authid: str, session: int) -> tuple[Action, str, Match]:
    action, uri, *match = question.split(" ")
    uri = uri.replace("{authid}", authid).replace("{session}", str(session))
    return Action(action), uri, Match(*match) if match else Match.EXACT


def configuration() -> Configuration:
    """A realm for each policy."""
    transport = {"type": "websocket", "endpoint": {"type": "tcp", "interface": "127.0.0.1", "port": 0}}
    realms = [
        {"name": f"realm{number}", "roles": [{"name": "anonymous", "permissions": policy.permissions}]}
        for number, policy in enumerate(POLICIES)
    ]
    return configuration_from(
        {"version": 2, "workers": [{"type": "router", "realms": realms, "transports": [transport]}]}
    )


@pytest.mark.parametrize("number", range(len(POLICIES)), ids=[policy.name for policy in POLICIES])
@pytest.mark.parametrize("reverse", [False, True], ids=["as written", "the other way round"])
def test_what_a_role_decides(number: int, reverse: bool) -> None:
    policy = POLICIES[number]
    described = configuration().worker.realms[number].roles[0]
    if reverse:
        described = msgspec.structs.replace(described, permissions=described.permissions[::-1])
    built = role(described).personal("ann", 99)

    for questions, expected in ((policy.yes, True), (policy.no, False)):
        for question in questions:
            decision = built.decide(*asked(question, "ann", 99))
            assert decision.allowed is expected, (question, decision)


class Client:
    """A WAMP client that asks for one thing at a time."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.request = 0

    async def send(self, *message: Any) -> list[Any]:
        await self.connection.send(msgspec.json.encode(message).decode())
        answer = msgspec.json.decode(await self.connection.recv())
        assert isinstance(answer, list)
        return answer

    async def join(self, realm: str) -> tuple[str, int]:
        roles = {"caller": {}, "callee": {}, "publisher": {}, "subscriber": {}}
        code, session, details = await self.send(1, realm, {"roles": roles})
        assert code == 2
        return details["authid"], session

    async def attempt(self, action: Action, uri: str, match: Match) -> str:
        """The error, or nothing."""
        self.request += 1
        request, options = self.request, {} if match is Match.EXACT else {"match": match.value}
        answer = await {
            Action.CALL: lambda: self.send(48, request, {}, uri),
            Action.REGISTER: lambda: self.send(64, request, options, uri),
            Action.PUBLISH: lambda: self.send(16, request, {"acknowledge": True}, uri),
            Action.SUBSCRIBE: lambda: self.send(32, request, options, uri),
        }[action]()
        return answer[4] if answer[0] == 8 else ""


def test_what_a_router_decides_that_runs_the_file() -> None:
    async def main() -> None:
        worker = Worker(configuration().worker)
        worker.bind()
        port = worker._sockets[0].getsockname()[1]
        await worker.start()
        try:
            for number, policy in enumerate(POLICIES):
                url, subprotocol = f"ws://127.0.0.1:{port}/", Subprotocol("wamp.2.json")
                async with connect(url, subprotocols=[subprotocol], proxy=None) as connection:
                    client = Client(connection)
                    authid, session = await client.join(f"realm{number}")
                    for questions, expected in ((policy.yes, True), (policy.no, False)):
                        for question in questions:
                            error = await client.attempt(*asked(question, authid, session))
                            where = (policy.name, question, error)
                            assert (error == "wamp.error.not_authorized") is not expected, where
        finally:
            await worker.stop()

    asyncio.run(main())


# --- Templates ----------------------------------------------------------------------------------------

odd = st.one_of(
    st.text(max_size=12),
    st.text("ab.*{}#\x00 \n", max_size=8),
    st.sampled_from(
        ["", ".", "..", "*", "a.b", "wamp", "{authid}", "{session}", "joe", "joe.", ".joe", "a b", "joe\n"]
    ),
)


@given(odd, st.sampled_from(["user.{authid}", "user.{authid}.x", "{authid}", "{authid}.x.{session}"]))
@example("wamp", "{authid}")
@example("{session}", "user.{authid}.x")
def test_what_is_filled_in_is_one_component_and_never_the_protocols(authid: str, template: str) -> None:
    uri = filled(template, authid, 5)

    if uri is not None:
        assert len(uri.split(".")) == len(template.split("."))
        assert uri.split(".")[template.split(".").index("{authid}")] == authid != ""
        assert uri.split(".")[0] != "wamp"


@given(odd, odd, st.sampled_from(["user.{}.x", "user.{}", "user.{}.x.y", "user.{}x.x", "user.", "user"]))
def test_nobody_reaches_the_namespace_of_somebody_else(mine: str, theirs: str, pattern: str) -> None:
    rules = [
        Permission(uri="user.{authid}.", match=Match.PREFIX, subscribe=True),
        Permission(uri="user.{authid}", subscribe=True),
        Permission(uri="user..{authid}", match=Match.WILDCARD, subscribe=True),
    ]
    built = Role("user", rules).personal(mine, 5)
    uri = pattern.format(theirs)

    for match in Match:
        if built.decide(Action.SUBSCRIBE, uri, match).allowed:
            assert mine in uri.split("."), (uri, match)
            assert "." not in mine


@pytest.mark.parametrize("authid", ["", "a..b", "a.b", ".", "joe ", "a#b", "\n", "wamp"])
def test_an_authid_that_is_no_component_has_no_namespace(authid: str) -> None:
    rules = [
        Permission(uri="{authid}.", match=Match.PREFIX, call=True, register=True, publish=True, subscribe=True),
        Permission(uri="{authid}", call=True, subscribe=True),
        Permission(uri="{authid}..", match=Match.WILDCARD, call=True, subscribe=True),
    ]
    built = Role("user", rules).personal(authid, 5)

    for uri in (authid, f"{authid}.x", "x", "a.x", "wamp.session.kill", ".x.y", "a.b.c"):
        for match in Match:
            assert not built.decide(Action.SUBSCRIBE, uri, match).allowed
        assert not built.decide(Action.CALL, uri, Match.EXACT).allowed


def test_a_star_as_authid_is_a_name_like_any_other() -> None:
    built = Role("user", [Permission(uri="user.{authid}.", match=Match.PREFIX, subscribe=True)]).personal("*", 5)

    assert built.decide(Action.SUBSCRIBE, "user.*.x", Match.EXACT).allowed
    assert not built.decide(Action.SUBSCRIBE, "user.joe.x", Match.EXACT).allowed


def test_what_is_decided_for_one_user_is_not_remembered_for_another() -> None:
    shared = Role("user", [Permission(uri="user.{authid}", call=True)])

    for authid in ("joe", "ann", "joe"):
        for other in ("joe", "ann"):
            decision = shared.personal(authid, 5).decide(Action.CALL, f"user.{other}", Match.EXACT)
            assert decision.allowed is (authid == other)
    assert not shared.decide(Action.CALL, "user.{authid}", Match.EXACT).allowed


def test_a_rule_about_one_user_decides_before_the_template_for_all() -> None:
    rules = [
        Permission(uri="user.{authid}.", match=Match.PREFIX, call=True),
        Permission(uri="user.joe.", match=Match.PREFIX, publish=True),
    ]

    for order in (rules, rules[::-1]):
        joe, ann = Role("user", order).personal("joe", 5), Role("user", order).personal("ann", 5)
        assert not joe.decide(Action.CALL, "user.joe.x", Match.EXACT).allowed
        assert joe.decide(Action.PUBLISH, "user.joe.x", Match.EXACT).allowed
        assert ann.decide(Action.CALL, "user.ann.x", Match.EXACT).allowed


def test_a_role_without_templates_is_the_same_for_everybody() -> None:
    shared = Role("user", [Permission(uri="user.joe", call=True)])

    assert shared.personal("joe", 5) is shared


def test_sessions_of_one_user_share_what_is_decided_unless_rules_name_the_session() -> None:
    by_user = Role("user", [Permission(uri="user.{authid}", call=True)])
    by_session = Role("user", [Permission(uri="user.{authid}.{session}", call=True)])

    assert by_user.personal("joe", 5) is by_user.personal("joe", 6)
    assert by_session.personal("joe", 5) is not by_session.personal("joe", 6)


def test_of_two_templates_that_come_to_the_same_the_first_by_name_decides() -> None:
    rules = [Permission(uri="at.{session}", call=True), Permission(uri="at.{authid}", publish=True)]

    for order in (rules, rules[::-1]):
        built = Role("user", order).personal("5", 5)
        assert built.decide(Action.PUBLISH, "at.5", Match.EXACT).allowed
        assert not built.decide(Action.CALL, "at.5", Match.EXACT).allowed
