"""The meta API: procedures that the router itself answers.

A table leads from the URI of a meta procedure to the method that answers it; the methods live in rooms of their
own, one for each part of the API. The signature of a method is the procedure's: its parameters, by name, type and
default, are what a CALL may carry. A CALL with anything else is refused in words that name the argument.

Specification: advanced/meta_api.md.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, get_type_hints

import msgspec
from msgspec import Raw

from rocade.errors import ApplicationError, DecodingTakesLong, InvalidMessage, ProtocolViolation
from rocade.router.answer import Answer
from rocade.router.departure import Departure
from rocade.router.effects import AnswerLater, BitByBit, Deliver, Effect, QueryHistory
from rocade.router.history import HistoryMeta
from rocade.router.id_answers import IdAnswers
from rocade.router.meta_registrations import RegistrationMeta
from rocade.router.meta_sessions import SessionMeta
from rocade.router.meta_subscriptions import SubscriptionMeta
from rocade.router.schemas import Schemas
from rocade.router.session import Session
from rocade.router.testaments import Testaments
from rocade.wamp.codec import Serializer, raw_bytes
from rocade.wamp.messages import Call, Result, ResultDetails
from rocade.wamp.uris import shown

if TYPE_CHECKING:
    from rocade.router.realm import Realm

__all__ = ["Meta", "Procedure"]

MAX_ARGUMENT_BYTES = 128 * 1024
"""Bytes of arguments that a meta procedure accepts: they are decoded, unlike those of other calls, and that holds the
loop for up to a microsecond per byte."""

_NO_DETAILS = ResultDetails()


class Meta:
    """The meta API of one realm.

    Attributes:
        procedures: URI -> meta procedure.
        history: reads event history.
        id_answers: lists ids that not everybody may see.
    """

    def __init__(self, realm: Realm) -> None:
        """
        Args:
            realm: what the procedures tell about and act upon.
        """
        self._sessions = SessionMeta(realm)
        self._testaments = Testaments(realm)
        self._schemas = Schemas(realm)
        self.history = HistoryMeta(realm)
        self.id_answers = IdAnswers(realm)
        self.procedures: dict[str, Procedure] = {}
        self.add(self._sessions.procedures())
        self.add(RegistrationMeta(realm).procedures())
        self.add(SubscriptionMeta(realm).procedures())
        self.add(self._testaments.procedures())
        self.add(self._schemas.procedures())
        self.add(self.history.procedures())

    def add(self, handlers: Mapping[str, Callable[..., Answer]]) -> None:
        """Offer more procedures.

        Args:
            handlers: URI -> what answers it, given the calling session and then the CALL's arguments.
        """
        self.procedures.update((uri, Procedure(handler)) for uri, handler in handlers.items())

    def call(self, caller: Session, message: Call) -> list[Effect]:
        """Answer a call of a meta procedure.

        Args:
            caller: session that sent the CALL.
            message: [CALL, Request|id, Options|dict, Procedure|uri, Arguments|list, ArgumentsKw|dict], of a
                procedure that is in the table.
        Returns:
            What the call brings about, then RESULT.
        Raises:
            ApplicationError: wamp.error.invalid_argument, or what the procedure refuses the call with.
            ProtocolViolation: the request id is that of a call that is still pending, or the caller uses a feature
                that it did not announce.
        """
        if message.request in caller.calls:
            raise ProtocolViolation(f"CALL with request id {message.request}, which a pending call has")
        caller.check_call(message.options)
        if message.options.progress or message.options.ppt_scheme:
            raise ApplicationError(
                "wamp.error.feature_not_supported", "meta procedures take all their arguments at once, and in the clear"
            )
        args, kwargs = _arguments(caller.serializer, message)
        answer = self.procedures[message.procedure].call(caller, args, kwargs)
        if answer.query is not None:
            return [*answer.effects, QueryHistory(answer.query, caller, message.request)]
        if answer.begin is not None:
            return answer.begin(message.request)
        if answer.later is not None:
            return [*answer.effects, AnswerLater(answer.later, caller, message.request)]
        result = Result(message.request, _NO_DETAILS, answer.args, answer.kwargs)
        delivered = Deliver(result, (caller,), caller.serializer)
        last = answer.effects[-1] if answer.effects else None
        if type(last) is BitByBit and isinstance(last.work, Departure):
            last.work.answer_then(delivered)
            return answer.effects
        return [*answer.effects, delivered]

    def joined(self, session: Session) -> list[Effect]:
        """Tell that a session is in the realm."""
        return self._sessions.joined(session)

    def detached(self, session: Session) -> list[Effect]:
        """Carry out what a session left behind that has lost its connection, but may come back."""
        return self._testaments.detached(session)

    def left(self, session: Session, *, silently: bool = False) -> list[Effect]:
        """Carry out what a session that is gone left behind, and tell that it is gone.

        Args:
            session: which session.
            silently: without its testaments and on_leave, as after wamp.session.kill_all.
        """
        if silently:
            self._testaments.forget(session)
            return self._schemas.left(session)
        return [*self._testaments.destroyed(session), *self._schemas.left(session), *self._sessions.left(session)]


class Procedure:
    """A method that answers calls, with what its signature says about their arguments."""

    __slots__ = ("_handler", "_names", "_parameters")

    def __init__(self, handler: Callable[..., Answer]) -> None:
        """
        Args:
            handler: takes the calling session, and then what a CALL may carry: positional arguments, and behind
                "*" what comes by keyword only.
        """
        self._handler = handler
        self._names, self._parameters = _signature(getattr(handler, "__func__", handler))

    def call(self, caller: Session, args: list[Any], kwargs: dict[str, Any]) -> Answer:
        """The handler's answer.

        Raises:
            ApplicationError: wamp.error.invalid_argument, or whatever the handler raises.
        """
        given = self._by_name(args, kwargs)
        values: dict[str, Any] = {}
        for name, (kind, is_required) in self._parameters.items():
            value = given.get(name)
            if value is not None:  # null stands for an argument that is not there
                values[name] = _converted(name, value, kind)
            elif is_required:
                raise _invalid(f"{name}: missing")
        return self._handler(caller, **values)

    def _by_name(self, args: list[Any], kwargs: dict[str, Any]) -> dict[str, Any]:
        if len(args) > len(self._names):
            raise _invalid(f"{len(args)} positional arguments, where at most {len(self._names)} are expected")
        given = dict(zip(self._names, args, strict=False))
        for name, value in kwargs.items():
            if name not in self._parameters:
                raise _invalid(f"{shown(name)}: there is no argument of this name")
            if name in given:
                raise _invalid(f"{name}: given by position and by name")
            given[name] = value
        return given


@cache
def _signature(handler: Callable[..., Answer]) -> tuple[list[str], dict[str, tuple[Any, bool]]]:
    """Names of the positional parameters; every parameter's name -> its type, and whether it must be given.

    The first parameters, `self` and the caller, are no arguments of the procedure.
    """
    types = get_type_hints(handler, include_extras=True)
    parameters = list(inspect.signature(handler).parameters.values())[2:]
    names = [parameter.name for parameter in parameters if parameter.kind is not parameter.KEYWORD_ONLY]
    return names, {
        parameter.name: (types[parameter.name], parameter.default is parameter.empty) for parameter in parameters
    }


def _arguments(serializer: Serializer, message: Call) -> tuple[list[Any], dict[str, Any]]:
    args, kwargs = message.args, message.kwargs
    size = raw_bytes(args, kwargs)
    if size > MAX_ARGUMENT_BYTES:
        raise ApplicationError(
            "wamp.error.payload_size_exceeded",
            f"{size} bytes of arguments; a meta procedure accepts {MAX_ARGUMENT_BYTES}",
        )
    try:
        return list(_loaded(serializer, args) or ()), dict(_loaded(serializer, kwargs) or {})
    except (InvalidMessage, DecodingTakesLong) as error:
        raise _invalid(str(error)) from None


def _loaded(serializer: Serializer, payload: Any) -> Any:
    return serializer.load(payload, is_patient=False) if type(payload) is Raw and payload else payload


def _converted(name: str, value: Any, kind: Any) -> Any:
    if type(value) is float and value.is_integer():
        value = int(value)  # JavaScript clients write large ids as floats over CBOR and MessagePack
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        text = str(error).replace("`", "'").replace(" - at '$", " - at '")
        raise _invalid(f"{name}: {text}") from None


def _invalid(text: str) -> ApplicationError:
    return ApplicationError("wamp.error.invalid_argument", text)
