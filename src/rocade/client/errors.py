"""Exceptions of Python and error URIs of WAMP: each becomes the other, in both directions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from rocade.errors import (
    ApplicationError,
    CallCanceled,
    CallTimeout,
    InvalidArgument,
    NoSuchProcedure,
    NotAuthorized,
    RocadeError,
)

__all__ = ["error", "exception_for", "payload_of"]

E = TypeVar("E", bound=type[Exception])

_OWN = (CallCanceled, CallTimeout, InvalidArgument, NoSuchProcedure, NotAuthorized)
# error URI -> the class that it becomes
_CLASSES: dict[str, type[Exception]] = {kind.uri: kind for kind in _OWN}
# class -> the error URI that it becomes
_URIS: dict[type[BaseException], str] = {}


def error(uri: str) -> Callable[[E], E]:
    """Decorator: make an exception class and an error URI the same thing.

    A procedure that raises the class answers with the URI and the exception's `args` (and `kwargs`, where it has such a
    dictionary). A call that is answered with the URI raises the class, made of the same arguments.

    Args:
        uri: the error's URI, such as "com.example.out_of_stock".
    """

    def decorate(kind: E) -> E:
        if not (isinstance(kind, type) and issubclass(kind, Exception)):
            raise TypeError(f"@rocade.error({uri!r}) is for exception classes, not for {kind!r}")
        _CLASSES[uri] = kind
        _URIS[kind] = uri
        return kind

    return decorate


def exception_for(uri: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Exception:
    """What a caller gets to see of an ERROR: an object of the class that the URI is mapped to."""
    kind = _CLASSES.get(uri)
    if kind is None:
        return ApplicationError(uri, *args, **kwargs)
    try:
        return kind(*args, **kwargs)
    except Exception:  # its constructor takes something else: the payload is a stranger's
        return ApplicationError(uri, *args, **kwargs)


def payload_of(exception: BaseException) -> tuple[str, Sequence[Any], Mapping[str, Any]] | None:
    """URI, `args` and `kwargs` of the ERROR that an exception becomes; None for those that nobody has mapped."""
    for kind in type(exception).__mro__:
        uri = _URIS.get(kind)
        if uri is not None:
            return uri, exception.args, _kwargs(exception)
    if isinstance(exception, ApplicationError):
        return exception.uri, exception.args, exception.kwargs
    if isinstance(exception, RocadeError):
        return exception.uri, (str(exception),), {}
    return None


def _kwargs(exception: BaseException) -> Mapping[str, Any]:
    kwargs = getattr(exception, "kwargs", None)
    return kwargs if isinstance(kwargs, dict) else {}
