"""The meta API where it meets connections: killing, transports, authorizers, and sessions without a connection."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

import pytest
from tests.serve.scene import Client, open_gateway, settle

from rocade.net.link import LinkInfo
from rocade.router.permissions import Action, Decision
from rocade.router.session import Session
from rocade.wamp.messages import Call, CallOptions, CloseDetails, Error, Event, Goodbye, Match, Result, Welcome

YES, NO = Decision(True), Decision(False)
TESTAMENT = "wamp.session.add_testament"


class Divided:
    """An authorizer with an opinion on calls and one, whatever it is, on publishing."""

    def __init__(self, opinion: Any) -> None:
        self.opinion = opinion

    def authorize(
        self, session: Session, action: Action, uri: str, match: Match, options: Any = None
    ) -> Decision | Awaitable[Decision]:
        if action is not Action.PUBLISH:
            return YES
        if isinstance(self.opinion, Exception):
            raise self.opinion
        return self.later() if self.opinion == "later" else self.opinion  # type: ignore[no-any-return]

    async def later(self) -> Decision:
        return YES


def two_clients(authorizer: Any = None, **options: Any) -> tuple[Client, Client]:
    gateway = open_gateway(authorizer, **options)
    first, second = Client(gateway), Client(gateway)
    first.join()
    second.join()
    return first, second


def resumable(client: Client) -> Welcome:
    client.hello(resumable=True)
    welcome = client.take_one()
    assert type(welcome) is Welcome
    return welcome


# --- killing ------------------------------------------------------------------------------------------


async def test_a_killed_session_is_said_goodbye_and_its_connection_closed() -> None:
    caller, victim = two_clients()
    session = victim.connection.session

    caller.call("wamp.session.kill", session.id)

    assert type(caller.take_one()) is Result
    assert victim.take_one() == Goodbye(CloseDetails(), "wamp.close.killed")
    assert session.id not in caller.gateway.realms["realm1"].sessions
    assert victim.connection.session is None
    assert victim.link.closed is None
    victim.goodbye("wamp.close.goodbye_and_out")
    assert victim.link.closed is not None


async def test_what_waited_for_an_authorizer_goes_with_the_session() -> None:
    class Never:
        def authorize(self, session: Session, action: Action, uri: str, match: Match, options: Any = None) -> Any:
            return asyncio.get_running_loop().create_future() if uri == "com.slow" else YES

    caller, victim = two_clients(Never())
    victim.publish("com.slow", acknowledge=True)
    victim.subscribe("com.topic")

    caller.call("wamp.session.kill", victim.connection.session.id)
    await settle()

    assert [type(message) for message in victim.take()] == [Goodbye]
    caller.publish("com.topic")
    assert victim.take() == []


async def test_a_session_without_a_connection_can_be_killed() -> None:
    gateway = open_gateway(resume_window=60)
    caller, victim, late = Client(gateway), Client(gateway), Client(gateway)
    caller.join()
    welcome = resumable(victim)
    victim.link.lose()
    caller.subscribe("wamp.session.on_leave")
    caller.take()

    caller.call("wamp.session.kill", welcome.session)

    left, result = caller.take()
    assert (type(left), caller.args(left)[0]) == (Event, welcome.session)
    assert type(result) is Result
    late.hello(resume_session=welcome.session, resume_token=welcome.details.resume_token)
    assert late.take_one().reason == "wamp.error.no_such_session"


# --- sessions that outlive their connection -----------------------------------------------------------


async def test_testaments_of_scope_detached_are_published_when_the_connection_is_lost() -> None:
    gateway = open_gateway(resume_window=60)
    heir, owner = Client(gateway), Client(gateway)
    heir.join()
    resumable(owner)
    heir.subscribe("com.detached")
    heir.subscribe("com.destroyed")
    heir.take()
    session = owner.connection.session
    owner.call(TESTAMENT, "com.destroyed", ["destroyed"])
    detached = {"scope": "detached"}
    owner.send(Call(owner.next_request(), CallOptions(), TESTAMENT, ["com.detached", ["detached"]], detached))

    owner.link.lose()
    assert [heir.args(event) for event in heir.take()] == [["detached"]]
    session.resumption.end("the window is over")
    assert [heir.args(event) for event in heir.take()] == [["destroyed"]]


async def test_a_session_that_was_resumed_is_told_about_with_its_new_transport() -> None:
    gateway = open_gateway(resume_window=60)
    watcher, before, after = Client(gateway), Client(gateway), Client(gateway)
    watcher.join()
    welcome = resumable(before)
    before.link.lose()
    after.link.info = LinkInfo("fake", "fake:2", headers={"cookie": "secret"})

    after.hello(resume_session=welcome.session, resume_token=welcome.details.resume_token, received=0)
    watcher.call("wamp.session.get", welcome.session)

    (details,) = watcher.args(watcher.take_one())
    assert details["transport"] == {"type": "fake", "protocol": "wamp.2.json", "peer": "fake:2", "secure": False}


# --- what a meta procedure implies --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("opinion", "is_allowed"), [(YES, True), (NO, False), ("later", True), (RuntimeError("broken"), False), (5, False)]
)
async def test_an_authorizer_is_asked_about_the_topic_of_a_testament(opinion: Any, is_allowed: bool) -> None:
    owner, heir = two_clients(Divided(opinion))
    heir.subscribe("com.last.words")
    heir.take()

    owner.call(TESTAMENT, "com.last.words", ["words"])
    await settle()

    message = owner.take_one()
    assert type(message) is (Result if is_allowed else Error)
    owner.link.lose()
    assert len(heir.take()) == is_allowed


async def test_what_a_session_sends_behind_a_request_that_implies_a_question_stays_behind_it() -> None:
    class Publishing(Divided):
        async def later(self) -> Decision:
            await allowed.wait()
            return NO

    allowed = asyncio.Event()
    caller, _ = two_clients(Publishing("later"))

    caller.call(TESTAMENT, "com.last.words", [])
    caller.call("wamp.session.count")
    await settle()
    assert caller.take() == []
    allowed.set()
    await settle()

    assert [(type(message), message.request) for message in caller.take()] == [(Error, 1), (Result, 2)]


async def test_a_call_that_waits_for_what_it_implies_can_be_canceled() -> None:
    class Never(Divided):
        async def later(self) -> Decision:
            await asyncio.get_running_loop().create_future()
            return YES

    caller, _ = two_clients(Never("later"))
    caller.connection.session.caller_cancels = True
    request = caller.call(TESTAMENT, "com.last.words", [])
    await settle()

    caller.cancel(request)
    caller.call("wamp.session.count")

    error, result = caller.take()
    assert (error.request, error.error, type(result)) == (request, "wamp.error.canceled", Result)
    await settle()


async def test_each_schema_that_is_described_is_asked_about_but_lists_are_not_waited_for() -> None:
    class Slowly:
        def authorize(self, session: Session, action: Action, uri: str, match: Match, options: Any = None) -> Any:
            return YES if session is definer.connection.session or uri.startswith("wamp.") else self.later(uri)

        async def later(self, uri: str) -> Decision:
            return YES if uri == "com.mine" else NO

    gateway = open_gateway(Slowly())
    definer, reader = Client(gateway), Client(gateway)
    definer.join()
    reader.join()
    for uri in ("com.mine", "com.other"):
        definer.call("wamp.schema.define", uri, {"kind": "procedure"})

    for uri in ("com.mine", "com.other"):
        reader.call("wamp.schema.get", uri)
    reader.call("wamp.schema.list")
    await settle()

    assert [reader.args(message) for message in reader.take()] == [[{"kind": "procedure"}], [None], [[]]]
