"""From HELLO to GOODBYE, as a client sees it (basic/sessions.md, basic/building_blocks.md)."""

from __future__ import annotations

import itertools

import pytest
from tests.serve.scene import WIRES, Client, open_gateway, pass_time, settle

from rocade.errors import HandshakeRefused, ProtocolViolation
from rocade.router.realm import Realm
from rocade.serve import connection as connection_module
from rocade.serve import outbox
from rocade.serve.authentication import Anonymous, Attempt, Identity
from rocade.wamp import patience
from rocade.wamp.messages import (
    Abort,
    Authenticate,
    Challenge,
    ClientRoles,
    CloseDetails,
    Error,
    Event,
    Goodbye,
    Published,
    Registered,
    RouterRoles,
    Subscribe,
    Subscribed,
    SubscribeOptions,
    Welcome,
    WelcomeDetails,
    Yield,
    YieldOptions,
)

VIOLATION = "wamp.error.protocol_violation"


def assert_aborted(client: Client, reason: str = VIOLATION, text: str = "") -> None:
    """It got ABORT as the last message, and its connection is being closed."""
    abort = client.take()[-1]
    assert type(abort) is Abort, abort
    assert abort.reason == reason
    assert text in (abort.details.message or "")
    assert client.link.closed == ("", reason == VIOLATION)
    assert client.connection.session is None


# --- Opening a session --------------------------------------------------------------------------------


async def test_welcome_says_who_the_client_is_and_what_the_router_can() -> None:
    client = Client(open_gateway(agent="Rocade-1"))

    welcome = client.join()

    details = welcome.details
    assert 1 <= welcome.session <= 2**53
    assert (details.realm, details.agent, details.authrole) == ("realm1", "Rocade-1", "user")
    assert (details.authmethod, details.authprovider) == ("anonymous", "static")
    assert details.authid
    assert details.roles.broker is not None
    assert details.roles.dealer is not None


def say_hello_that_takes_long(client: Client, times: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Send a HELLO that is decoded in time only after it has taken too long so many times."""
    looks = itertools.count()
    # Each time somebody looks at the clock when he begins, and once more when a second is over.
    monkeypatch.setattr(patience, "_clock", lambda: float(min(next(looks), 2 * times - 1)))
    client.hello(authextra={str(number): number for number in range(500)})


async def test_a_hello_that_a_busy_machine_took_long_to_decode_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    client = Client(open_gateway(), wire=WIRES["cbor"])

    say_hello_that_takes_long(client, 1, monkeypatch)

    assert type(client.take_one()) is Welcome


async def test_a_hello_that_takes_long_each_time_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    client = Client(open_gateway(), wire=WIRES["cbor"])

    say_hello_that_takes_long(client, 2, monkeypatch)

    assert_aborted(client, text="messages are to be simple")


async def test_every_session_has_an_id_of_its_own() -> None:
    gateway = open_gateway(realms=["realm1", "realm2"])

    ids = {Client(gateway).join(realm).session for realm in ["realm1", "realm2"] * 5}

    assert len(ids) == 10


@pytest.mark.parametrize("wire", WIRES.values(), ids=str)
async def test_sessions_are_opened_with_every_serializer(wire: object) -> None:
    Client(open_gateway(), wire=wire).join()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "message",
    [
        Subscribe(1, SubscribeOptions(), "com.topic"),
        Yield(1, YieldOptions()),
        Goodbye(CloseDetails(), "wamp.close.close_realm"),
        Authenticate("", {}),
        Published(1, 1),
    ],
    ids=lambda message: type(message).__name__,
)
async def test_a_message_before_hello_breaks_the_protocol(message: Subscribe) -> None:
    client = Client(open_gateway())

    client.send(message)

    assert_aborted(client, text="before a session was opened")


async def test_a_second_hello_breaks_the_protocol_and_ends_the_session() -> None:
    gateway = open_gateway()
    client = Client(gateway)
    client.join()

    client.hello()

    assert_aborted(client, text="HELLO was received within an open session")
    assert gateway.realms["realm1"].sessions == {}


@pytest.mark.parametrize(
    "message",
    [Welcome(1, WelcomeDetails(roles=RouterRoles())), Challenge("ticket", {}), Authenticate("", {})],
    ids=lambda message: type(message).__name__,
)
async def test_messages_of_the_handshake_within_a_session_break_the_protocol(message: Welcome) -> None:
    client = Client(open_gateway())
    client.join()

    client.send(message)

    assert_aborted(client, text="within an open session")


async def test_a_client_must_support_at_least_one_role() -> None:
    client = Client(open_gateway())

    client.hello(roles=ClientRoles())

    assert_aborted(client, text="no role")


async def test_an_unknown_realm_is_no_such_realm() -> None:
    client = Client(open_gateway())

    client.hello("nowhere")

    assert_aborted(client, "wamp.error.no_such_realm", "'nowhere'")


async def test_a_role_that_the_realm_does_not_have_is_no_such_role() -> None:
    client = Client(open_gateway(), authenticators={"anonymous": Anonymous("ghost")})

    client.hello()

    assert_aborted(client, "wamp.error.no_such_role")


async def test_authentication_methods_that_nobody_knows_are_skipped() -> None:
    client = Client(open_gateway())

    client.hello(authmethods=["scram", "mine", "anonymous"])

    assert client.take_one().details.authmethod == "anonymous"


@pytest.mark.parametrize("methods", [None, []])
async def test_a_client_without_methods_asks_for_anonymous(methods: list[str] | None) -> None:
    client = Client(open_gateway())

    client.hello(authmethods=methods)

    assert client.take_one().details.authmethod == "anonymous"


@pytest.mark.parametrize("methods", [["scram"], ["ticket", "wampcra"]])
async def test_no_method_left_is_no_matching_auth_method(methods: list[str]) -> None:
    client = Client(open_gateway())

    client.hello(authmethods=methods)

    assert_aborted(client, "wamp.error.no_matching_auth_method", "anonymous")


async def test_the_first_of_the_clients_methods_that_the_transport_has_is_taken() -> None:
    class Named:
        def __init__(self, name: str) -> None:
            self.name = name

        def begin(self, attempt: Attempt) -> Identity:
            return Identity(authid="joe", authrole="user", authmethod=self.name)

    client = Client(open_gateway(), authenticators={name: Named(name) for name in ("a", "b", "c")})

    client.hello(authmethods=["x", "c", "a"])

    assert client.take_one().details.authmethod == "c"


async def test_an_authenticator_that_refuses_is_quoted() -> None:
    class Never:
        def begin(self, attempt: Attempt) -> Identity:
            raise HandshakeRefused("wamp.error.authentication_denied", "not you")

    client = Client(open_gateway(), authenticators={"anonymous": Never()})

    client.hello()

    assert_aborted(client, "wamp.error.authentication_denied", "not you")


async def test_an_authenticator_that_fails_lets_nobody_in_and_tells_nothing(caplog: pytest.LogCaptureFixture) -> None:
    class Broken:
        def begin(self, attempt: Attempt) -> Identity:
            raise LookupError("secret")

    client = Client(open_gateway(), authenticators={"anonymous": Broken()})

    client.hello()

    assert_aborted(client, "wamp.error.runtime_error", "the router failed")
    assert "LookupError: secret" in caplog.text


async def test_a_connection_without_a_session_is_closed_after_a_while() -> None:
    client = Client(open_gateway())

    await pass_time(connection_module.HELLO_TIMEOUT - 1)
    assert client.link.closed is None
    await pass_time(1.1)

    assert_aborted(client, text="no HELLO")


async def test_an_open_session_has_no_deadline() -> None:
    client = Client(open_gateway())
    client.join()

    await pass_time(1000)

    assert client.link.closed is None
    assert client.take() == []


# --- Undecodable messages and other violations --------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", ""),
        (b"nonsense", "JSON is malformed"),
        (b"[]", ""),
        (b"{}", ""),
        (b"[99,1]", "99"),
        (b'["32",1,{},"com.topic"]', "$[0]"),
        (b'[32,"1",{},"com.topic"]', "$[1]"),
        (b'[32,0,{},"com.topic"]', "$[1]"),
        (b'[32,1,[],"com.topic"]', "$[2]"),
        (b'[32,1,{"match":"re"},"com.topic"]', "$[2].match"),
        (b"[32,1,{}]", ""),
        (b'[16,1,{},"com.topic",{}]', "args is not a list"),
        (b'[16,1,{},"com.topic",[],[]]', "kwargs is not a dictionary"),
        (b'[16,1,{},"com.topic",["\xff"]]', "UTF-8"),
        (b'[16,1,{},"com.topic",' + b"[" * 5000 + b"]" * 5000 + b"]", "too deep"),
    ],
)
@pytest.mark.parametrize("is_open", [True, False])
async def test_what_cannot_be_decoded_breaks_the_protocol_and_the_place_is_named(
    data: bytes, text: str, is_open: bool
) -> None:
    client = Client(open_gateway())
    if is_open:
        client.join()

    client.link.deliver(data)

    assert_aborted(client, text=text)


async def test_an_explanation_that_quotes_the_client_is_cut(caplog: pytest.LogCaptureFixture) -> None:
    client = Client(open_gateway())

    client.connection.violated(ProtocolViolation("x" * 100_000))

    assert len(client.take_one().details.message) == connection_module.MAX_TEXT
    assert len(caplog.text) < 2000


async def test_request_ids_that_are_not_sequential_break_the_protocol() -> None:
    client = Client(open_gateway())
    client.join()
    client.subscribe("com.topic")

    client.next_request()
    client.subscribe("com.other")

    assert_aborted(client, text="request id 3 where 2 was due")


async def test_a_realm_for_old_clients_accepts_any_request_ids() -> None:
    gateway = open_gateway()
    gateway.add_realm("old", list(gateway.realms["realm1"].roles.values()), sequential_requests=False)
    client = Client(gateway)
    client.join("old")

    for request in (4711, 5, 2**53):
        client.send(Subscribe(request, SubscribeOptions(), "com.topic"))

    assert [message.request for message in client.take()] == [4711, 5, 2**53]


async def test_after_abort_nothing_is_processed_and_nothing_said() -> None:
    gateway = open_gateway()
    client = Client(gateway)
    client.link.deliver(b"[]")
    client.take()
    client.link.closed = None  # as if the link were slow to close

    client.hello()
    client.link.deliver(b"[]")
    client.goodbye()

    assert client.take() == []
    assert gateway.realms["realm1"].sessions == {}


async def test_a_violation_disposes_of_subscriptions_and_registrations() -> None:
    gateway = open_gateway()
    client, other = Client(gateway), Client(gateway)
    for each in (client, other):
        each.join()
    client.subscribe("com.topic")
    client.register("com.proc")

    client.link.deliver(b"[]")

    realm = gateway.realms["realm1"]
    assert (realm.broker.subscriptions, realm.dealer.registrations) == ({}, {})
    other.call("com.proc")
    assert other.take_one().error == "wamp.error.no_such_procedure"


async def test_a_failure_of_ours_ends_one_session_only_and_tells_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    gateway = open_gateway()
    client, other = Client(gateway), Client(gateway)
    for each in (client, other):
        each.join()
    with monkeypatch.context() as patch:
        patch.setattr(Realm, "receive", lambda *args: 1 / 0)
        client.subscribe("com.topic")

    assert_aborted(client, "wamp.error.runtime_error", "the router failed")
    assert "ZeroDivisionError" in caplog.text
    other.subscribe("com.topic")
    assert type(other.take_one()) is Subscribed


# --- Closing a session --------------------------------------------------------------------------------


async def test_goodbye_is_echoed_once_and_nothing_comes_after_it() -> None:
    gateway = open_gateway()
    client, other = Client(gateway), Client(gateway)
    for each in (client, other):
        each.join()
    client.subscribe("com.topic")
    client.call("com.nothing")
    client.take()

    client.goodbye()
    other.publish("com.topic")
    await settle()

    assert client.take_one() == Goodbye(CloseDetails(), "wamp.close.goodbye_and_out")
    assert client.link.closed is None


async def test_the_calls_of_a_session_that_says_goodbye_end_without_an_answer() -> None:
    gateway = open_gateway()
    client, callee = Client(gateway), Client(gateway)
    for each in (client, callee):
        each.join()
    callee.register("com.proc")
    client.call("com.proc")
    callee.take()

    client.goodbye()
    callee.yield_(1)

    assert type(client.take_one()) is Goodbye
    assert callee.take() == []
    assert callee.link.closed is None


async def test_the_same_connection_may_carry_a_new_session() -> None:
    gateway = open_gateway()
    client, other = Client(gateway), Client(gateway)
    first, _ = client.join(), other.join()
    client.subscribe("com.old")
    client.goodbye()
    client.take()

    second = client.join()
    client.subscribe("com.new")
    other.publish("com.old")
    other.publish("com.new")

    assert second.session != first.session
    subscribed, event = client.take()
    assert (type(subscribed), subscribed.request) == (Subscribed, 1)
    assert (type(event), event.subscription) == (Event, subscribed.subscription)
    await pass_time(connection_module.HELLO_TIMEOUT + 1)
    assert client.link.closed is None


async def test_goodbye_after_the_session_is_closed_breaks_the_protocol() -> None:
    client = Client(open_gateway())
    client.join()
    client.goodbye()

    client.goodbye()

    assert_aborted(client)


async def test_a_connection_that_stays_without_a_new_session_is_closed_without_a_word() -> None:
    client = Client(open_gateway())
    client.join()
    client.goodbye()
    client.take()

    await pass_time(connection_module.HELLO_TIMEOUT + 1)

    assert client.take() == []
    assert client.link.closed == ("", False)


@pytest.mark.parametrize("is_open", [True, False])
async def test_abort_is_not_answered_and_closes_the_connection(is_open: bool) -> None:
    gateway = open_gateway()
    client = Client(gateway)
    if is_open:
        client.join()

    client.send(Abort(CloseDetails(), "wamp.close.system_shutdown"))

    assert client.take() == []
    assert client.link.closed == ("", False)
    assert gateway.realms["realm1"].sessions == {}


async def test_messages_between_our_goodbye_and_theirs_are_ignored() -> None:
    client = Client(open_gateway())
    client.join()
    client.connection.say_goodbye("wamp.close.system_shutdown", "bye")
    assert client.take_one() == Goodbye(CloseDetails(message="bye"), "wamp.close.system_shutdown")

    client.subscribe("com.topic")
    client.yield_(1)
    client.hello()
    assert client.take() == []
    assert client.link.closed is None
    client.goodbye("wamp.close.goodbye_and_out")

    assert client.take() == []
    assert client.link.closed == ("", False)


async def test_a_client_that_does_not_answer_our_goodbye_is_closed_after_a_while() -> None:
    client = Client(open_gateway())
    client.join()
    client.connection.say_goodbye("wamp.close.system_shutdown", "bye")
    client.hello()

    await pass_time(connection_module.GOODBYE_TIMEOUT + 0.1)

    assert client.link.closed == ("", False)


async def test_a_connection_that_vanishes_takes_all_of_its_session_along() -> None:
    gateway = open_gateway()
    client, callee = Client(gateway), Client(gateway)
    for each in (client, callee):
        each.join()
    callee.register("com.proc")
    callee.subscribe("com.topic")
    client.call("com.proc")
    client.take()

    callee.link.lose()

    error = client.take_one()
    assert (type(error), error.error) == (Error, "wamp.error.canceled")
    assert len(gateway.connections) == 1
    client.link.lose()
    realm = gateway.realms["realm1"]
    assert (realm.sessions, realm.broker.subscriptions, realm.dealer.registrations) == ({}, {}, {})
    assert gateway.connections == set()


async def test_a_connection_that_vanishes_before_hello_leaves_no_timer() -> None:
    gateway = open_gateway()
    client = Client(gateway)

    client.link.lose()
    await pass_time(connection_module.HELLO_TIMEOUT + 1)

    assert client.take() == []
    assert client.link.closed is None


async def test_registered_comes_before_the_first_invocation_and_subscribed_before_the_first_event() -> None:
    gateway = open_gateway()
    client, other = Client(gateway), Client(gateway)
    for each in (client, other):
        each.join()

    client.register("com.proc")
    client.subscribe("com.topic")
    other.call("com.proc")
    other.publish("com.topic")

    kinds = [type(message) for message in client.take()]
    assert kinds.index(Registered) < 2
    assert kinds.index(Event) == 3


def slow_reader_and_publisher() -> tuple[Client, Client]:
    """A client that is subscribed to com.topic and whose link is full, and one that may publish."""
    gateway = open_gateway()
    client, publisher = Client(gateway), Client(gateway)
    client.join()
    publisher.join()
    client.subscribe("com.topic")
    client.take()
    client.connection.writing_paused()
    return client, publisher


async def test_a_client_that_has_not_read_everything_yet_still_gets_it_and_learns_why_its_session_ends() -> None:
    """A link is full, too, while it hands over a long message to somebody who reads as fast as can be."""
    client, publisher = slow_reader_and_publisher()

    publisher.publish("com.topic", 1)
    client.link.deliver(b"nonsense")

    assert [type(message) for message in client.take()] == [Event, Abort]
    assert client.link.closed == ("", True)


async def test_a_client_that_has_very_much_to_read_gets_no_more_when_its_session_ends() -> None:
    client, publisher = slow_reader_and_publisher()

    for _ in range(20):
        publisher.publish("com.topic", "x" * (outbox.MAX_LAST_BYTES // 20))
    client.link.deliver(b"nonsense")

    assert client.take() == []
    assert client.link.closed == ("", True)


async def test_goodbye_of_a_router_that_shuts_down_comes_behind_what_was_not_read_yet() -> None:
    gateway = open_gateway()
    client = Client(gateway)
    client.join()

    client.connection.writing_paused()
    await gateway.shutdown(0.0)

    assert [type(message) for message in client.take()] == [Goodbye]
    assert client.link.closed == ("", False)
