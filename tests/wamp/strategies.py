"""Hypothesis strategies for payloads and messages, made from the annotations of the message classes."""

from __future__ import annotations

import enum
import types
import typing
from typing import Annotated, Any, Union

import hypothesis.strategies as st
import msgspec
from msgspec import Raw

from rocade.wamp.messages import Message

__all__ = ["MESSAGE_CLASSES", "messages", "plain", "values"]

MESSAGE_CLASSES: list[type[Message]] = Message.__subclasses__()

# Text that begins with NUL is left out: in JSON it may stand for binary (test_payload.py has it).
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12).filter(lambda value: not value.startswith("\0"))
finite = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(-1e300, 1e300) | text


def _nested(leaves: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.recursive(
        leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4), max_leaves=8
    )


values = _nested(finite | st.binary(max_size=12))
"""What every serializer has a form for."""


def _of_type(hint: Any) -> st.SearchStrategy[Any]:
    origin = typing.get_origin(hint)
    if origin is Annotated:
        (meta,) = hint.__metadata__
        return st.integers(meta.ge, meta.le)
    if origin in (Union, types.UnionType):
        return st.one_of(*map(_of_type, typing.get_args(hint)))
    if origin is list:
        return st.lists(_of_type(typing.get_args(hint)[0]), max_size=3)
    if origin is dict:
        return st.dictionaries(text, _nested(finite), max_size=3)
    if hint is type(None):
        return st.none()
    if hint is str:
        return text
    if hint is bool:
        return st.booleans()
    if hint is float:
        return st.floats(-1e300, 1e300)
    if hint is int:
        return st.integers(0, 2**53)
    if issubclass(hint, enum.Enum):
        return st.sampled_from(list(hint))
    assert issubclass(hint, msgspec.Struct)
    hints = typing.get_type_hints(hint, include_extras=True)
    return st.builds(hint, **{field: _of_type(hints[field]) for field in hint.__struct_fields__})


def _of_message(kind: type[Message]) -> st.SearchStrategy[Message]:
    hints = typing.get_type_hints(kind, include_extras=True)
    fields = {field: _of_type(hints[field]) for field in kind.__struct_fields__ if hints[field] is not Raw}
    if "args" in kind.__struct_fields__:
        fields["args"] = st.lists(values, max_size=3)
        fields["kwargs"] = st.dictionaries(text, values, max_size=3)
    return st.builds(kind, **fields)


def messages(kind: type[Message] | None = None) -> st.SearchStrategy[Message]:
    """Messages of one class, or of any."""
    return _of_message(kind) if kind is not None else st.sampled_from(MESSAGE_CLASSES).flatmap(_of_message)


def plain(message: Message, serializer: Any = None) -> dict[str, Any]:
    """A message's fields as plain data; raw payloads are loaded, and absent ones are None like empty ones."""
    fields = {}
    for field in message.__struct_fields__:
        value = getattr(message, field)
        if isinstance(value, Raw):
            value = serializer.load(value) if value else None
        elif field not in ("args", "kwargs"):
            value = msgspec.to_builtins(value)
        fields[field] = value or None
    return {"type": type(message).__name__, **fields}
