"""Short ways to call meta procedures and to read meta events."""

from __future__ import annotations

from typing import Any

from msgspec import Raw
from tests.router.scene import Scene, next_request, sent

from rocade.router.effects import Effect, EndSession
from rocade.router.session import Session
from rocade.wamp.messages import NO_PAYLOAD, Call, CallOptions, Error, Event, Result


def ask(scene: Scene, caller: Session, procedure: str, *args: Any, **kwargs: Any) -> list[Effect]:
    """Call a meta procedure, with arguments in the caller's serializer."""
    dump = caller.serializer.dump
    payload: tuple[Raw, Raw] = (dump(list(args)) if args else NO_PAYLOAD, dump(kwargs) if kwargs else NO_PAYLOAD)
    return scene.send(caller, Call(next_request(caller), CallOptions(), procedure, *payload))


def results(effects: list[Effect], caller: Session) -> list[Any]:
    """Positional results of the call, which must be the last that the caller gets."""
    message = sent(effects, caller)[-1]
    assert type(message) is Result, message
    return list(message.args)


def answer(scene: Scene, caller: Session, procedure: str, *args: Any, **kwargs: Any) -> Any:
    """The one result of a meta procedure."""
    (value,) = results(ask(scene, caller, procedure, *args, **kwargs), caller)
    return value


def refusal(scene: Scene, caller: Session, procedure: str, *args: Any, **kwargs: Any) -> Error:
    """The ERROR that a meta procedure answers; nothing else may happen."""
    (effect,) = ask(scene, caller, procedure, *args, **kwargs)
    (message,) = sent([effect], caller)
    assert type(message) is Error, message
    assert (message.request_type, message.request) == (48, caller.last_request)
    return message


def listener(scene: Scene, *topics: str, **options: Any) -> Session:
    """A new session that listens to meta topics."""
    session = scene.join("listener")
    for topic in topics:
        scene.subscribe(session, topic, **options)
    return session


def heard(effects: list[Effect], session: Session) -> list[tuple[str, list[Any]]]:
    """Topic and arguments of the EVENTs for a session, in their order; raw arguments are left out."""
    return [
        (message.details.topic or session.subscriptions[message.subscription].uri, _plain(message.args))
        for message in sent(effects, session)
        if type(message) is Event
    ]


def _plain(args: Any) -> list[Any]:
    return [] if type(args) is Raw else list(args)


def ended(effects: list[Effect]) -> list[tuple[Session, str, str | None]]:
    """Who is sent GOODBYE, and with which words."""
    return [(effect.session, effect.reason, effect.message) for effect in effects if type(effect) is EndSession]


def comes_last(effects: list[Effect], session: Session) -> bool:
    """Whether GOODBYE is the last that a session is sent."""
    position = next(
        index for index, effect in enumerate(effects) if type(effect) is EndSession and effect.session is session
    )
    return not sent(effects[position:], session)
