"""Schemas: what a procedure, topic or error takes and gives, told by the session that offers it.

The router keeps them and passes them on; it does not check payloads against them. The names under "wamp.schema."
are Rocade's and Crossbar's, those under "wamp.reflection." and "wamp.reflect." stand in the specification, which
names them and says no more.

Specification: advanced/interface_reflection.md (a sketch).
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from rocade.errors import ApplicationError, PayloadNotSerializable
from rocade.router.answer import Answer
from rocade.router.effects import Effect
from rocade.router.permissions import Action
from rocade.router.session import Session
from rocade.wamp.codec import JSON
from rocade.wamp.uris import is_reserved, is_uri, shown

if TYPE_CHECKING:
    from rocade.router.realm import Realm

__all__ = ["Kind", "Schemas"]

MAX_SCHEMAS = 500
"""Schemas that a session may have defined."""

MAX_SCHEMA_BYTES = 1024 * 1024
"""Bytes, as JSON, that all schemas of a session may have together."""

ON_DEFINE = ("wamp.schema.on_define", "wamp.reflect.on_define")
ON_UNDEFINE = ("wamp.schema.on_undefine", "wamp.reflect.on_undefine")


class Kind(StrEnum):
    """What a schema describes."""

    PROCEDURE = "procedure"
    TOPIC = "topic"
    ERROR = "error"


Key = tuple[Kind, str]

_OFFERING = {Kind.PROCEDURE: Action.REGISTER, Kind.TOPIC: Action.PUBLISH}
_USING = {Kind.PROCEDURE: Action.CALL, Kind.TOPIC: Action.SUBSCRIBE}
"""Whoever may do either of the two may read a schema; those of errors everybody may."""


class Definition(Struct):
    """A schema, and who vouches for it.

    Attributes:
        uri: of the procedure, topic or error.
        kind: which of these it is.
        schema: as it was defined.
        size: bytes, as JSON.
        definers: sessions that defined it; it lasts as long as one of them does (a dict used as an ordered set).
    """

    uri: str
    kind: Kind
    schema: dict[str, Any]
    size: int
    definers: dict[Session, None]

    @property
    def key(self) -> Key:
        """What it is found by."""
        return self.kind, self.uri


class Schemas:
    """The schemas of a realm."""

    def __init__(self, realm: Realm) -> None:
        """
        Args:
            realm: whose schemas.
        """
        self._realm = realm
        # (kind, URI) -> definition: who may only define an error takes no procedure's place, and so on
        self._definitions: dict[Key, Definition] = {}
        # session -> what it defined
        self._by: dict[Session, dict[Key, Definition]] = {}

    def procedures(self) -> dict[str, Callable[..., Answer]]:
        """URI -> method."""
        return {
            "wamp.schema.define": self.define,
            "wamp.schema.undefine": self.undefine,
            "wamp.schema.list": self.uris,
            "wamp.schema.describe": self.describe,
            "wamp.schema.get": self.describe,
            "wamp.reflect.define": self.define,
            "wamp.reflect.describe": self.describe,
            "wamp.reflection.procedure.list": self.procedure_uris,
            "wamp.reflection.topic.list": self.topic_uris,
            "wamp.reflection.error.list": self.error_uris,
            "wamp.reflection.procedure.describe": self.describe_procedure,
            "wamp.reflection.topic.describe": self.describe_topic,
            "wamp.reflection.error.describe": self.describe_error,
        }

    # --- defining ---------------------------------------------------------------------------------

    def define(self, caller: Session, uri: str, schema: dict[str, Any]) -> Answer:
        """Define a schema.

        Sessions that share a registration may define the same schema, each for itself. A different one is refused
        as long as another session vouches for the first.

        Returns:
            True for a new schema, False for one that took the place of the caller's own, null where there was the
            same already.
        Raises:
            ApplicationError: wamp.error.invalid_uri, wamp.error.invalid_argument, wamp.error.not_authorized,
                wamp.error.schema_already_exists, wamp.error.limit_exceeded.
        """
        kind = self._checked(caller, uri, schema)
        known = self._definitions.get((kind, uri))
        if known is not None and known.schema == schema:
            self._attach(caller, known)
            return Answer([None])
        if known is not None and known.definers.keys() != {caller}:
            raise ApplicationError(
                "wamp.error.schema_already_exists", f"another session has defined a different schema of {shown(uri)}"
            )
        definition = Definition(uri, kind, schema, _size(schema), {})
        self._attach(caller, definition)
        self._definitions[definition.key] = definition
        return Answer([known is None], self._announced(ON_DEFINE, uri, schema, known is None))

    def undefine(self, caller: Session, uri: str) -> Answer:
        """Take back what the caller defined for a URI."""
        mine = self._by.get(caller, {})
        definitions = [mine.pop((kind, uri)) for kind in Kind if (kind, uri) in mine]
        if not definitions:
            raise ApplicationError("wamp.error.no_such_schema", f"this session has defined no schema of {shown(uri)}")
        return Answer([], [effect for definition in definitions for effect in self._detached(caller, definition)])

    def left(self, session: Session) -> list[Effect]:
        """Take back what a session that is gone defined."""
        definitions = self._by.pop(session, None)
        if definitions is None:
            return []
        return [effect for definition in definitions.values() for effect in self._detached(session, definition)]

    # --- reading ----------------------------------------------------------------------------------

    def uris(self, caller: Session, kind: Kind | None = None) -> Answer:
        """URIs of all schemas that the caller may read, of one kind or of all."""
        return Answer([list(dict.fromkeys(definition.uri for definition in self._visible(caller, kind)))])

    def describe(self, caller: Session, uri: str | None = None) -> Answer:
        """The schema of a URI, or null; without a URI, all schemas that the caller may read, by URI."""
        return self._described(caller, uri, None)

    def procedure_uris(self, caller: Session) -> Answer:
        """wamp.reflection.procedure.list"""
        return self.uris(caller, Kind.PROCEDURE)

    def topic_uris(self, caller: Session) -> Answer:
        """wamp.reflection.topic.list"""
        return self.uris(caller, Kind.TOPIC)

    def error_uris(self, caller: Session) -> Answer:
        """wamp.reflection.error.list"""
        return self.uris(caller, Kind.ERROR)

    def describe_procedure(self, caller: Session, uri: str | None = None) -> Answer:
        """wamp.reflection.procedure.describe"""
        return self._described(caller, uri, Kind.PROCEDURE)

    def describe_topic(self, caller: Session, uri: str | None = None) -> Answer:
        """wamp.reflection.topic.describe"""
        return self._described(caller, uri, Kind.TOPIC)

    def describe_error(self, caller: Session, uri: str | None = None) -> Answer:
        """wamp.reflection.error.describe"""
        return self._described(caller, uri, Kind.ERROR)

    # --- details ----------------------------------------------------------------------------------

    def _checked(self, caller: Session, uri: str, schema: dict[str, Any]) -> Kind:
        if not is_uri(uri) or is_reserved(uri):
            raise ApplicationError("wamp.error.invalid_uri", f"not a URI to define a schema for: {shown(uri)}")
        try:
            kind = Kind(schema.get("kind", ""))
        except ValueError:
            kinds = ", ".join(repr(kind.value) for kind in Kind)
            raise ApplicationError("wamp.error.invalid_argument", f"schema: 'kind' is not one of {kinds}") from None
        action = _OFFERING.get(kind)
        if action is not None and not self._realm.authorize(caller, action, uri).allowed:
            text = f"not allowed to {action.value} {shown(uri)}, and so not to define it"
            raise ApplicationError("wamp.error.not_authorized", text)
        return kind

    def _attach(self, session: Session, definition: Definition) -> None:
        mine = self._by.get(session, {})
        others = [other for other in mine.values() if other.key != definition.key]
        if len(others) == MAX_SCHEMAS:
            raise ApplicationError("wamp.error.limit_exceeded", f"a session defines at most {MAX_SCHEMAS} schemas")
        if sum(other.size for other in others) + definition.size > MAX_SCHEMA_BYTES:
            raise ApplicationError(
                "wamp.error.limit_exceeded", f"the schemas of a session have at most {MAX_SCHEMA_BYTES} bytes"
            )
        definition.definers[session] = None
        self._by[session] = {**mine, definition.key: definition}

    def _detached(self, session: Session, definition: Definition) -> list[Effect]:
        del definition.definers[session]
        if definition.definers:
            return []
        del self._definitions[definition.key]
        return self._announced(ON_UNDEFINE, definition.uri)

    def _announced(self, topics: tuple[str, ...], *args: Any) -> list[Effect]:
        announce = self._realm.broker.announcer.announce
        return [effect for topic in topics for effect in announce(topic, *args)]

    def _visible(self, caller: Session, kind: Kind | None) -> list[Definition]:
        """What the caller may read; of several with the same URI, that of the procedure comes first."""
        return [
            definition
            for each in (Kind if kind is None else (kind,))
            for definition in self._definitions.values()
            if definition.kind is each and self._may_read(caller, definition, waits=False)
        ]

    def _described(self, caller: Session, uri: str | None, kind: Kind | None) -> Answer:
        if uri is None:
            schemas: dict[str, dict[str, Any]] = {}
            for definition in self._visible(caller, kind):
                schemas.setdefault(definition.uri, definition.schema)
            return Answer([schemas])
        for each in Kind if kind is None else (kind,):
            found = self._definitions.get((each, uri))
            if found is not None and self._may_read(caller, found):
                return Answer([found.schema])
        return Answer([None])

    def _may_read(self, caller: Session, definition: Definition, *, waits: bool = True) -> bool:
        if definition.kind is Kind.ERROR or caller in definition.definers:
            return True
        actions = (_USING[definition.kind], _OFFERING[definition.kind])
        return any(self._realm.authorize(caller, action, definition.uri, waits=waits).allowed for action in actions)


def _size(schema: dict[str, Any]) -> int:
    try:
        return len(JSON.dump(schema))
    except PayloadNotSerializable as error:
        raise ApplicationError("wamp.error.invalid_argument", f"schema: {error}") from None
