"""What can go wrong, as one tree. Every exception knows the WAMP error URI that tells a peer about it.

::

    RocadeError
    ├── ApplicationError            an ERROR with a URI of its own, in either direction
    │   ├── CallCanceled            wamp.error.canceled
    │   ├── CallTimeout             wamp.error.timeout; a TimeoutError, too
    │   ├── InvalidArgument         wamp.error.invalid_argument; a ValueError, too
    │   ├── LimitExceeded           a request for more than the sender may have
    │   ├── NoSuchProcedure         wamp.error.no_such_procedure; a LookupError, too
    │   └── NotAuthorized           wamp.error.not_authorized; a PermissionError, too
    ├── ConnectionFailed            a client cannot reach its router; a ConnectionError, too
    ├── ConnectionLost              what was under way when a session ended unasked; a ConnectionError, too
    ├── SessionClosed               a client's session is over for good
    ├── ProtocolViolation           the peer broke the protocol: ABORT and close
    │   └── InvalidMessage          bytes that are no WAMP message
    │       └── NotUtf8             and no text at all
    ├── PayloadNotSerializable      a value that a serializer has no form for
    │   ├── PayloadTooLarge         more than a transport can carry
    │   └── TranslationTakesLong    not here and now, at least
    ├── DecodingTakesLong           a message that may be valid, but not here and now
    ├── CheckFailed                 it could not be found out whether a long message is valid: ABORT and close
    ├── HandshakeRefused            a session was not opened: ABORT
    │   └── AuthenticationFailed    the client is not who it claims to be
    └── ConfigurationError          a configuration that cannot be used, with the path into it
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "LIMIT_EXCEEDED",
    "ApplicationError",
    "AuthenticationFailed",
    "CallCanceled",
    "CallTimeout",
    "CheckFailed",
    "ConfigurationError",
    "ConnectionFailed",
    "ConnectionLost",
    "DecodingTakesLong",
    "HandshakeRefused",
    "InvalidArgument",
    "InvalidMessage",
    "LimitExceeded",
    "NoSuchProcedure",
    "NotAuthorized",
    "NotUtf8",
    "PayloadNotSerializable",
    "PayloadTooLarge",
    "ProtocolViolation",
    "RocadeError",
    "SessionClosed",
    "TranslationTakesLong",
]


class RocadeError(Exception):
    """Anything that Rocade itself raises."""

    uri = "wamp.error.runtime_error"
    """What a peer is told when this exception ends its request."""


class ApplicationError(RocadeError):
    """A request that is answered by ERROR, with a URI, arguments and keyword arguments.

    Attributes:
        uri: the error's URI.
        args: positional payload.
        kwargs: keyword payload.
    """

    def __init__(self, uri: str, /, *args: Any, **kwargs: Any) -> None:
        """
        Args:
            uri: the error's URI, such as "com.example.out_of_stock".
            *args: positional payload.
            **kwargs: keyword payload.
        """
        super().__init__(*args)
        self.uri = uri
        self.args = args  # OSError, which some subclasses are, would keep but two of them
        self.kwargs = kwargs

    def __str__(self) -> str:
        text = " ".join(str(argument) for argument in self.args)
        return f"{self.uri}: {text}" if text else self.uri

    def __reduce__(self) -> tuple[Any, ...]:
        # An exception is pickled as what its class makes of `args`, in which there is no URI.
        return _rebuilt, (type(self), self.uri, self.args, self.kwargs)


def _rebuilt(kind: type[ApplicationError], uri: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> ApplicationError:
    error = kind.__new__(kind)
    ApplicationError.__init__(error, uri, *args, **kwargs)
    return error


class CallCanceled(ApplicationError):
    """The call was canceled, or its callee is gone."""

    uri = "wamp.error.canceled"

    def __init__(self, /, *args: Any, **kwargs: Any) -> None:
        """As `ApplicationError`, the URI of which is fixed."""
        super().__init__(type(self).uri, *args, **kwargs)


class CallTimeout(ApplicationError, TimeoutError):
    """There was no result in time."""

    uri = "wamp.error.timeout"

    def __init__(self, /, *args: Any, **kwargs: Any) -> None:
        """As `ApplicationError`, the URI of which is fixed."""
        super().__init__(type(self).uri, *args, **kwargs)


class InvalidArgument(ApplicationError, ValueError):
    """A procedure does not take what it was called with."""

    uri = "wamp.error.invalid_argument"

    def __init__(self, /, *args: Any, **kwargs: Any) -> None:
        """As `ApplicationError`, the URI of which is fixed."""
        super().__init__(type(self).uri, *args, **kwargs)


class NoSuchProcedure(ApplicationError, LookupError):
    """Nobody has registered the procedure."""

    uri = "wamp.error.no_such_procedure"

    def __init__(self, /, *args: Any, **kwargs: Any) -> None:
        """As `ApplicationError`, the URI of which is fixed."""
        super().__init__(type(self).uri, *args, **kwargs)


class NotAuthorized(ApplicationError, PermissionError):
    """The session's role may not do this."""

    uri = "wamp.error.not_authorized"

    def __init__(self, /, *args: Any, **kwargs: Any) -> None:
        """As `ApplicationError`, the URI of which is fixed."""
        super().__init__(type(self).uri, *args, **kwargs)


class ConnectionFailed(RocadeError, ConnectionError):
    """A client cannot reach its router; the text says why."""

    uri = "rocade.error.connection_failed"


class ConnectionLost(RocadeError, ConnectionError):
    """A session ended unasked, and with it what was under way: whether a call was executed is not known."""

    uri = "rocade.error.connection_lost"


class SessionClosed(RocadeError):
    """A client's session is over for good: nothing can be done in it any more."""

    uri = "rocade.error.session_closed"


LIMIT_EXCEEDED = "wamp.error.limit_exceeded"
"""What a peer is told that wants more than it may have. The specification has no URI for that."""


class LimitExceeded(ApplicationError):
    """A request for more than the sender may have. The peer gets the limit's name and the number as `limit`, `max`."""

    def __init__(self, limit: str, maximum: int, text: str, *, uri: str = LIMIT_EXCEEDED) -> None:
        """
        Args:
            limit: name of the limit, as in the configuration: "subscriptions".
            maximum: how much is allowed.
            text: plain words for the peer.
            uri: what it is told where WAMP has a URI for it.
        """
        super().__init__(uri, text, limit=limit, max=maximum)
        self.limit = limit
        self.maximum = maximum


class ProtocolViolation(RocadeError):
    """The peer sent what the protocol forbids; its session is aborted (basic/building_blocks.md, protocol errors)."""

    uri = "wamp.error.protocol_violation"


class InvalidMessage(ProtocolViolation):
    """Bytes that do not decode to a WAMP message; the text names what was wrong and where."""


class NotUtf8(InvalidMessage):
    """The bytes of a text are not UTF-8. On a WebSocket that is an error of the transport itself, code 1007."""


class DecodingTakesLong(RocadeError):
    """To find out whether bytes are a valid message, or what value they have, would hold the event loop."""


class CheckFailed(RocadeError):
    """It could not be found out whether a long message is valid, or what it is in another serializer."""

    def __init__(self, uri: str, text: str) -> None:
        """
        Args:
            uri: what the peer is told.
            text: why, in plain words.
        """
        super().__init__(text)
        self.uri = uri


class PayloadNotSerializable(RocadeError):
    """A payload cannot be expressed in the serializer of the peer that it is for."""

    uri = "wamp.error.invalid_argument"


class PayloadTooLarge(PayloadNotSerializable):
    """A message is longer than the transport of the peer that it is for can carry."""

    uri = "wamp.error.payload_size_exceeded"


class TranslationTakesLong(PayloadNotSerializable):
    """A payload is in another serializer, and such that translating it would hold the event loop."""


class HandshakeRefused(RocadeError):
    """A session is not opened; the peer gets ABORT with this URI and message."""

    def __init__(self, uri: str, message: str) -> None:
        """
        Args:
            uri: reason of the ABORT, such as "wamp.error.no_such_realm".
            message: plain words for ABORT.Details.message.
        """
        super().__init__(message)
        self.uri = uri


class AuthenticationFailed(HandshakeRefused):
    """A client is not who it claims to be. It learns no more than that, whatever the reason."""

    def __init__(self, reason: str, *, counts: bool = True) -> None:
        """
        Args:
            reason: for the log of the router; without secrets.
            counts: whether it counts as a failed login: not, where it is the router or an authenticator that fails.
        """
        super().__init__("wamp.error.authentication_failed", "authentication failed")
        self.reason = reason
        self.counts = counts


class ConfigurationError(RocadeError):
    """A configuration that cannot be used."""

    def __init__(self, path: str, message: str) -> None:
        """
        Args:
            path: where in the configuration, such as 'workers[0].realms[0].name'; empty for the whole of it.
            message: what is wrong there and what is accepted instead.
        """
        super().__init__(f"{path}: {message}" if path else message)
        self.path = path
        self.message = message
