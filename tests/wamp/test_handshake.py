"""The life of a session, as tables: every message in every state, and both tables against each other."""

from __future__ import annotations

from collections import deque
from itertools import product

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from rocade.errors import ProtocolViolation
from rocade.wamp.handshake import CLIENT, ROUTER, Direction, SessionState, advance
from rocade.wamp.messages import (
    Abort,
    Authenticate,
    Challenge,
    ClientRoles,
    CloseDetails,
    Goodbye,
    Hello,
    HelloDetails,
    Message,
    Published,
    RouterRoles,
    Subscribe,
    SubscribeOptions,
    Welcome,
    WelcomeDetails,
)

S = SessionState
HELLO = Hello("realm1", HelloDetails(ClientRoles()))
WELCOME = Welcome(1, WelcomeDetails(RouterRoles()))
CHALLENGE = Challenge("ticket", {})
AUTHENTICATE = Authenticate("secret", {})
ABORT = Abort(CloseDetails(), "wamp.error.no_such_realm")
GOODBYE = Goodbye(CloseDetails(), "wamp.close.close_realm")
GOODBYE_AND_OUT = Goodbye(CloseDetails(), "wamp.close.goodbye_and_out")
SUBSCRIBE = Subscribe(1, SubscribeOptions(), "com.example.topic")
PUBLISHED = Published(1, 1)
MESSAGES = [HELLO, WELCOME, CHALLENGE, AUTHENTICATE, ABORT, GOODBYE, SUBSCRIBE, PUBLISHED]


class Side:
    """One end: its table, its state, and what it has received."""

    def __init__(self, table: object) -> None:
        self.table = table
        self.state = S.CLOSED
        self.received: list[Message] = []

    def advance(self, direction: Direction, message: Message) -> None:
        self.state = advance(self.table, self.state, direction, message)  # type: ignore[arg-type]


class Connection:
    """A client and a router, and the messages that are on their way between them."""

    def __init__(self) -> None:
        self.client, self.router = Side(CLIENT), Side(ROUTER)
        self.wires: dict[Side, deque[Message]] = {self.client: deque(), self.router: deque()}

    def other(self, side: Side) -> Side:
        return self.router if side is self.client else self.client

    def send(self, side: Side, *messages: Message) -> None:
        """Messages leave one side and are on their way."""
        for message in messages:
            side.advance(Direction.SENT, message)
            self.wires[self.other(side)].append(message)

    def arrive(self) -> None:
        """Everything that is on its way arrives; one that was ignored is not among what a side received."""
        for side, wire in self.wires.items():
            while wire:
                message = wire.popleft()
                ignored = side.state is S.SHUTTING_DOWN and type(message) not in (Goodbye, Abort)
                side.advance(Direction.RECEIVED, message)
                if not ignored:
                    side.received.append(message)

    def exchange(self, side: Side, *messages: Message) -> None:
        self.send(side, *messages)
        self.arrive()

    @property
    def states(self) -> tuple[SessionState, SessionState]:
        return self.client.state, self.router.state


@pytest.fixture
def connection() -> Connection:
    return Connection()


@pytest.fixture
def joined(connection: Connection) -> Connection:
    connection.exchange(connection.client, HELLO)
    connection.exchange(connection.router, WELCOME)
    return connection


# --- Life cycles -------------------------------------------------------------------------------------


def test_session_is_opened_by_hello_and_welcome(connection: Connection) -> None:
    connection.exchange(connection.client, HELLO)
    assert connection.states == (S.ESTABLISHING, S.ESTABLISHING)

    connection.exchange(connection.router, WELCOME)
    assert connection.states == (S.ESTABLISHED, S.ESTABLISHED)


def test_session_is_opened_after_a_challenge_or_several(connection: Connection) -> None:
    connection.exchange(connection.client, HELLO)
    for _ in range(2):
        connection.exchange(connection.router, CHALLENGE)
        assert connection.states == (S.CHALLENGED, S.CHALLENGED)
        connection.exchange(connection.client, AUTHENTICATE)
        assert connection.states == (S.ESTABLISHING, S.ESTABLISHING)

    connection.exchange(connection.router, WELCOME)

    assert connection.states == (S.ESTABLISHED, S.ESTABLISHED)


def test_router_refuses_a_session_and_another_may_be_opened(connection: Connection) -> None:
    connection.exchange(connection.client, HELLO)

    connection.exchange(connection.router, ABORT)
    assert connection.states == (S.CLOSED, S.CLOSED)

    connection.exchange(connection.client, HELLO)
    connection.exchange(connection.router, WELCOME)
    assert connection.states == (S.ESTABLISHED, S.ESTABLISHED)


@pytest.mark.parametrize("answer", [[], [CHALLENGE], [CHALLENGE, AUTHENTICATE]])
def test_either_side_aborts_while_the_session_is_opened(answer: list[Message]) -> None:
    for by_client in (False, True):
        connection = Connection()
        connection.exchange(connection.client, HELLO)
        for message in answer:
            connection.exchange(connection.router if message is CHALLENGE else connection.client, message)

        connection.exchange(connection.client if by_client else connection.router, ABORT)

        assert connection.states == (S.CLOSED, S.CLOSED)


def test_client_leaves_and_joins_again_on_the_same_connection(joined: Connection) -> None:
    joined.exchange(joined.client, GOODBYE)
    assert joined.states == (S.SHUTTING_DOWN, S.CLOSING)

    joined.exchange(joined.router, GOODBYE_AND_OUT)
    assert joined.states == (S.CLOSED, S.CLOSED)

    joined.exchange(joined.client, HELLO)
    joined.exchange(joined.router, WELCOME)
    assert joined.states == (S.ESTABLISHED, S.ESTABLISHED)


def test_router_ends_the_session(joined: Connection) -> None:
    joined.exchange(joined.router, GOODBYE)
    assert joined.states == (S.CLOSING, S.SHUTTING_DOWN)

    joined.exchange(joined.client, GOODBYE_AND_OUT)
    assert joined.states == (S.CLOSED, S.CLOSED)


def test_goodbyes_that_cross_answer_each_other(joined: Connection) -> None:
    joined.send(joined.client, GOODBYE)
    joined.send(joined.router, GOODBYE)
    joined.arrive()

    assert joined.states == (S.CLOSED, S.CLOSED)
    assert joined.client.received[-1] is GOODBYE
    assert joined.router.received[-1] is GOODBYE


def test_messages_that_cross_a_goodbye_are_ignored(joined: Connection) -> None:
    joined.send(joined.client, SUBSCRIBE)
    joined.send(joined.router, PUBLISHED, GOODBYE)
    joined.arrive()

    assert joined.states == (S.CLOSING, S.SHUTTING_DOWN)
    assert joined.router.received == [HELLO]
    assert joined.client.received == [WELCOME, PUBLISHED, GOODBYE]


def test_abort_ends_an_open_session_without_an_answer(joined: Connection) -> None:
    joined.exchange(joined.router, ABORT)

    assert joined.states == (S.CLOSED, S.ABORTED)
    with pytest.raises(ProtocolViolation):
        joined.send(joined.router, GOODBYE)


def test_abort_that_crosses_a_goodbye_ends_the_session(joined: Connection) -> None:
    joined.send(joined.client, GOODBYE)
    joined.send(joined.router, ABORT)
    joined.client.advance(Direction.RECEIVED, joined.wires[joined.client].popleft())

    assert joined.states == (S.CLOSED, S.ABORTED)


def test_other_messages_leave_an_open_session_open(joined: Connection) -> None:
    joined.exchange(joined.client, SUBSCRIBE)
    joined.exchange(joined.router, PUBLISHED)

    assert joined.states == (S.ESTABLISHED, S.ESTABLISHED)


# --- Every message in every state --------------------------------------------------------------------


@pytest.mark.parametrize("table", [ROUTER, CLIENT], ids=["router", "client"])
@pytest.mark.parametrize(("state", "direction", "message"), list(product(S, Direction, MESSAGES)))
def test_message_is_in_the_table_or_a_violation(
    table: dict[SessionState, dict[tuple[Direction, type[Message]], SessionState]],
    state: SessionState,
    direction: Direction,
    message: Message,
) -> None:
    within = message in (SUBSCRIBE, PUBLISHED) and state is S.ESTABLISHED
    ignored = state is S.SHUTTING_DOWN and direction is Direction.RECEIVED
    following = table[state].get((direction, type(message)), state if within or ignored else None)

    if following is not None:
        assert advance(table, state, direction, message) is following
    else:
        with pytest.raises(ProtocolViolation) as caught:
            advance(table, state, direction, message)
        name = type(message).__name__.upper()
        assert str(caught.value).startswith(f"{name} was {direction.value} ")
        assert caught.value.uri == "wamp.error.protocol_violation"


@pytest.mark.parametrize(
    ("state", "message", "text"),
    [
        (S.CLOSED, SUBSCRIBE, "SUBSCRIBE was received before a session was opened"),
        (S.ESTABLISHING, HELLO, "HELLO was received while the session was being opened"),
        (S.CHALLENGED, SUBSCRIBE, "SUBSCRIBE was received while AUTHENTICATE was awaited"),
        (S.ESTABLISHED, HELLO, "HELLO was received within an open session"),
        (S.CLOSING, SUBSCRIBE, "SUBSCRIBE was received after GOODBYE"),
        (S.ABORTED, HELLO, "HELLO was received after ABORT"),
    ],
)
def test_violation_says_what_was_wrong_in_words(state: SessionState, message: Message, text: str) -> None:
    with pytest.raises(ProtocolViolation) as caught:
        advance(ROUTER, state, Direction.RECEIVED, message)

    assert str(caught.value) == text


def test_tables_cover_every_state_and_nothing_leads_out_of_aborted() -> None:
    for table in (ROUTER, CLIENT):
        assert set(table) == set(S)
        assert table[S.ABORTED] == {}


def test_what_one_side_may_send_the_other_may_receive() -> None:
    """Where both sides are in the same state, a message that one table lets out the other lets in."""
    twin = {S.CLOSING: S.SHUTTING_DOWN, S.SHUTTING_DOWN: S.CLOSING}
    for mine, theirs in ((ROUTER, CLIENT), (CLIENT, ROUTER)):
        for state, following in mine.items():
            for direction, kind in following:
                if direction is Direction.SENT and (mine is CLIENT or state is not S.CLOSED):
                    assert (Direction.RECEIVED, kind) in theirs[twin.get(state, state)]


@given(st.lists(st.tuples(st.booleans(), st.sampled_from([*MESSAGES, None])), max_size=30))
@settings(max_examples=300, deadline=None, derandomize=True)
def test_two_sides_that_keep_to_their_tables_never_see_a_violation(steps: list[tuple[bool, Message | None]]) -> None:
    """Each sends only what its own table allows; ABORT ends it, since the connection is closed with it."""
    connection = Connection()
    for by_client, message in steps:
        side = connection.client if by_client else connection.router
        if message is None:
            connection.arrive()
            continue
        if message is ABORT or (type(message) in (Subscribe, Published) and side.state is not S.ESTABLISHED):
            continue
        try:
            connection.send(side, message)
        except ProtocolViolation:
            continue
    connection.arrive()
