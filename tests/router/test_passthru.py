"""Payload passthru mode (advanced/payload_passthru_mode.md)."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import Raw
from tests.router.scene import EVERYTHING, Scene, canceled_wakes, invocation, receivers, sent, sent_one

from rocade.errors import ProtocolViolation
from rocade.router.passthru import has_keywords
from rocade.router.session import Session
from rocade.wamp.messages import (
    NO_PAYLOAD,
    Call,
    CallOptions,
    CancelMode,
    Error,
    InvocationDetails,
    Invoke,
    PassthruDetails,
    Publish,
    Published,
    PublishOptions,
    Result,
    ResultDetails,
    Yield,
    YieldOptions,
)

PROCEDURE = "com.secret"
ATTRIBUTES = {"ppt_scheme": "wamp", "ppt_serializer": "cbor", "ppt_cipher": "aes256gcm", "ppt_keyid": "key 1"}
UNSUPPORTED = "wamp.error.feature_not_supported"


@pytest.fixture
def caller(scene: Scene) -> Session:
    return scene.join("caller", caller=EVERYTHING)


@pytest.fixture
def callee(scene: Scene) -> Session:
    session = scene.join("callee", callee=EVERYTHING)
    scene.register(session, PROCEDURE)
    return session


def failure(scene: Scene, callee: Session, request: int, kwargs: Raw = NO_PAYLOAD) -> list[Any]:
    details = PassthruDetails(**ATTRIBUTES)
    return scene.send(callee, Error(68, request, details, "com.example.failed", Raw(b'["\\u0000"]'), kwargs))


def test_all_attributes_go_with_the_payload_in_either_direction(scene: Scene, caller: Session, callee: Session) -> None:
    asked = invocation(scene.call(caller, PROCEDURE, args=Raw(b'["\\u0000YQ=="]'), **ATTRIBUTES), callee)
    answered = sent_one(scene.yield_(callee, asked.request, args=Raw(b'["\\u0000Yg=="]'), **ATTRIBUTES), caller)

    assert (asked.details, bytes(asked.args)) == (InvocationDetails(**ATTRIBUTES), b'["\\u0000YQ=="]')
    assert (answered.details, bytes(answered.args)) == (ResultDetails(**ATTRIBUTES), b'["\\u0000Yg=="]')


def test_all_attributes_go_with_progressive_results(scene: Scene, caller: Session, callee: Session) -> None:
    scene.call(caller, PROCEDURE, receive_progress=True, **ATTRIBUTES)

    result = sent_one(scene.yield_(callee, 1, progress=True, **ATTRIBUTES), caller)

    assert result.details == ResultDetails(progress=True, **ATTRIBUTES)


def test_all_attributes_go_with_an_error(scene: Scene, caller: Session, callee: Session) -> None:
    scene.call(caller, PROCEDURE)

    error = sent_one(failure(scene, callee, 1), caller)

    assert (error.error, error.details) == ("com.example.failed", PassthruDetails(**ATTRIBUTES))


def test_a_call_in_the_clear_may_be_answered_in_passthru_mode_and_the_other_way_round(
    scene: Scene, caller: Session, callee: Session
) -> None:
    scene.call(caller, PROCEDURE)
    assert sent_one(scene.yield_(callee, 1, **ATTRIBUTES), caller).details.ppt_scheme == "wamp"

    scene.call(caller, PROCEDURE, **ATTRIBUTES)
    assert sent_one(scene.yield_(callee, 2), caller).details == ResultDetails()


def test_without_a_scheme_there_is_no_passthru_mode(scene: Scene, callee: Session) -> None:
    caller = scene.join()

    message = invocation(scene.call(caller, PROCEDURE, ppt_scheme="", ppt_keyid="key 1"), callee)

    assert message.details == InvocationDetails()


# --- who must have announced it -----------------------------------------------------------------------


@pytest.mark.parametrize("procedure", [PROCEDURE, "com.nothing", "wamp.session.count"])
def test_a_caller_that_did_not_announce_it_breaks_the_protocol(scene: Scene, callee: Session, procedure: str) -> None:
    with pytest.raises(ProtocolViolation, match="CALL in payload passthru mode"):
        scene.call(scene.join(), procedure, **ATTRIBUTES)


@pytest.mark.parametrize("progress", [None, True])
def test_a_callee_that_did_not_announce_it_breaks_the_protocol(
    scene: Scene, caller: Session, progress: bool | None
) -> None:
    callee = scene.join()
    scene.register(callee, PROCEDURE)
    scene.call(caller, PROCEDURE)

    with pytest.raises(ProtocolViolation, match="YIELD in payload passthru mode"):
        scene.yield_(callee, 1, progress=progress, **ATTRIBUTES)
    with pytest.raises(ProtocolViolation, match="ERROR in payload passthru mode"):
        failure(scene, callee, 1)


def test_a_callee_that_lacks_it_is_not_invoked(scene: Scene, caller: Session) -> None:
    callee = scene.join()
    scene.register(callee, PROCEDURE)

    effects = scene.call(caller, PROCEDURE, timeout=1000, **ATTRIBUTES)

    assert sent_one(effects, caller).error == UNSUPPORTED
    assert receivers(effects) == [caller]
    assert (caller.calls, callee.invocations) == ({}, {})


def test_the_call_of_a_caller_that_lacks_it_fails_when_it_is_answered_so(scene: Scene, callee: Session) -> None:
    caller = scene.join()
    for answer in ("yield", "error"):
        scene.call(caller, PROCEDURE, timeout=1000)
        (request,) = callee.invocations

        effects = scene.yield_(callee, request, **ATTRIBUTES) if answer == "yield" else failure(scene, callee, request)

        assert sent_one(effects, caller).error == UNSUPPORTED
        assert len(canceled_wakes(effects)) == 1
        assert (caller.calls, callee.invocations) == ({}, {})


def test_a_progressive_result_that_the_caller_cannot_take_ends_the_call_and_interrupts_the_callee(
    scene: Scene, callee: Session
) -> None:
    caller = scene.join(caller={"progressive_call_results": True})
    scene.call(caller, PROCEDURE, receive_progress=True)

    effects = scene.yield_(callee, 1, progress=True, **ATTRIBUTES)

    assert sent_one(effects, caller).error == UNSUPPORTED
    assert sent_one(effects, callee).options.mode is CancelMode.KILLNOWAIT
    assert scene.yield_(callee, 1, **ATTRIBUTES) == []


def test_a_progressive_result_that_nobody_wants_ends_nothing(scene: Scene, callee: Session) -> None:
    caller = scene.join()
    scene.call(caller, PROCEDURE)

    assert scene.yield_(callee, 1, progress=True, **ATTRIBUTES) == []
    assert sent_one(scene.yield_(callee, 1), caller).details == ResultDetails()


def test_an_answer_for_nobody_is_dropped_as_any(scene: Scene, caller: Session, callee: Session) -> None:
    scene.call(caller, PROCEDURE)
    scene.cancel(caller, 1, CancelMode.SKIP)

    assert scene.yield_(callee, 1, **ATTRIBUTES) == []
    assert callee.invocations == {}


# --- what is checked of the payload -------------------------------------------------------------------


@pytest.mark.parametrize("kwargs", [b"", b"{}", b"\x80", b"\xa0", b"\xbf\xff"])
def test_keyword_arguments_may_be_absent_or_empty(kwargs: bytes) -> None:
    assert not has_keywords(Call(1, CallOptions(), PROCEDURE, NO_PAYLOAD, Raw(kwargs)))


@pytest.mark.parametrize("kwargs", [b'{"a":1}', b"\x81\xa1a\x01", b"\xa1\x61a\x01"])
def test_keyword_arguments_are_recognized_in_every_serializer(kwargs: bytes) -> None:
    assert has_keywords(Call(1, CallOptions(), PROCEDURE, NO_PAYLOAD, Raw(kwargs)))


def test_keyword_arguments_of_a_call_are_refused(scene: Scene, caller: Session, callee: Session) -> None:
    kwargs = Raw(b'{"a":1}')

    effects = scene.send(caller, Call(1, CallOptions(**ATTRIBUTES), PROCEDURE, NO_PAYLOAD, kwargs))

    assert sent_one(effects, caller).error == "wamp.error.invalid_argument"
    assert sent(effects, callee) == []


def test_a_call_that_is_refused_for_its_payload_takes_no_callee_s_turn(scene: Scene, caller: Session) -> None:
    callees = [scene.join(callee=EVERYTHING) for _ in range(2)]
    for session in callees:
        scene.register(session, "com.shared", invoke=Invoke.ROUNDROBIN)
    caller.last_request = 1

    refused = scene.send(caller, Call(1, CallOptions(ppt_scheme="x_mine"), "com.shared", NO_PAYLOAD, Raw(b'{"a":1}')))

    assert sent_one(refused, caller).error == "wamp.error.invalid_argument"
    assert receivers(scene.call(caller, "com.shared")) == [callees[0]]


def test_keyword_arguments_of_an_answer_end_the_call(scene: Scene, caller: Session, callee: Session) -> None:
    kwargs = Raw(b'{"a":1}')
    scene.call(caller, PROCEDURE)
    scene.call(caller, PROCEDURE)

    effects = scene.send(callee, Yield(1, YieldOptions(**ATTRIBUTES), NO_PAYLOAD, kwargs))
    assert sent_one(effects, caller).error == "wamp.error.invalid_argument"
    assert sent_one(failure(scene, callee, 2, kwargs), caller).error == "wamp.error.invalid_argument"


# --- PubSub -------------------------------------------------------------------------------------------


def test_a_publisher_that_did_not_announce_it_breaks_the_protocol_even_if_nobody_listens(scene: Scene) -> None:
    with pytest.raises(ProtocolViolation, match="PUBLISH in payload passthru mode"):
        scene.publish(scene.join(), "com.topic", **ATTRIBUTES)


def test_subscribers_get_events_whether_or_not_they_announced_it(scene: Scene) -> None:
    publisher, subscriber = scene.join(publisher=EVERYTHING), scene.join()
    scene.subscribe(subscriber, "com.topic")

    event = sent_one(scene.publish(publisher, "com.topic", **ATTRIBUTES), subscriber)

    assert event.details.ppt_keyid == "key 1"


def test_keyword_arguments_of_an_event_are_refused(scene: Scene) -> None:
    publisher, subscriber = scene.join(publisher=EVERYTHING), scene.join()
    scene.subscribe(subscriber, "com.topic")

    for acknowledge in (True, None):
        options = PublishOptions(acknowledge=acknowledge, **ATTRIBUTES)
        effects = scene.send(publisher, Publish(1, options, "com.topic", NO_PAYLOAD, Raw(b'{"a":1}')))

        answers = [message.error for message in sent(effects, publisher)]
        assert answers == (["wamp.error.invalid_argument"] if acknowledge else [])
        assert sent(effects, subscriber) == []


def test_an_empty_scheme_is_none(scene: Scene) -> None:
    publisher, subscriber = scene.join(), scene.join()
    scene.subscribe(subscriber, "com.topic")

    effects = scene.publish(publisher, "com.topic", ppt_scheme="", acknowledge=True)

    assert sent_one(effects, subscriber).details.ppt_scheme is None
    assert type(sent_one(effects, publisher)) is Published


def test_an_empty_scheme_is_none_in_an_error_and_in_a_call_of_the_meta_api(scene: Scene) -> None:
    caller, callee = scene.join(), scene.join()
    scene.register(callee, PROCEDURE)
    scene.call(caller, PROCEDURE)

    failed = Error(68, 1, PassthruDetails(ppt_scheme="", ppt_cipher="aes256gcm"), "com.example.failed")

    assert sent_one(scene.send(callee, failed), caller).details == PassthruDetails()
    assert type(sent_one(scene.call(caller, "wamp.session.count", ppt_scheme=""), caller)) is Result
