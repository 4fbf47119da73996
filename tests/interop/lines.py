"""The line protocol between a test and a client program: one JSON object a line, in both directions.

To the program go commands, `{"id": 7, "do": "call", "session": "s1", ...}`. From it come

- `{"reply": 7, "value": ...}` or `{"reply": 7, "error": {"uri", "args", "kwargs", "message"}}`,
- `{"progress": 7, "args", "kwargs"}`: a progressive result of the call with that id,
- `{"handler": 3, "event": {"args", "kwargs", "details"}}` to a subscription,
- `{"handler": 3, "invocation": {"id", "args", "kwargs", "details"}}` of a registration,
- `{"interrupted": 12}`: the client told the endpoint of that invocation to stop,
- `{"left": "s1", "details": {...}}`: a session has ended.

Values that JSON lacks, or that would lose their type in it, are objects with one key: `{"$bytes": base64}`,
`{"$typed": base64}` for a `TypedArray`, `{"$float": "nan"}`, `{"$int": "9007199254740993"}`, `{"$undefined": true}`,
and `{"$other": description}` for what a client delivered that is no plain data at all.
"""

from __future__ import annotations

import base64
import json
import math
from typing import Any

UNDEFINED = type("Undefined", (), {"__repr__": lambda self: "undefined"})()
"""JavaScript's `undefined`, where a client delivered it."""


class TypedArray(bytes):
    """Bytes that a JavaScript client is to send as a Uint8Array; what else it sends is a Buffer of Node.js."""


def dump_line(message: dict[str, Any]) -> bytes:
    """A line for a message that may hold any plain data."""
    return json.dumps(_marked(message), separators=(",", ":"), allow_nan=False).encode() + b"\n"


def load_line(line: bytes) -> dict[str, Any]:
    """The message in a line."""
    message = _unmarked(json.loads(line))
    assert isinstance(message, dict)
    return message


def _marked(value: Any) -> Any:
    if isinstance(value, TypedArray):
        return {"$typed": base64.b64encode(value).decode()}
    if isinstance(value, bytes | bytearray | memoryview):
        return {"$bytes": base64.b64encode(value).decode()}
    if isinstance(value, float) and not math.isfinite(value):
        return {"$float": str(value)}
    if isinstance(value, dict):
        return {key: _marked(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_marked(item) for item in value]
    if value is None or isinstance(value, str | int | float):
        return value
    return {"$other": repr(value)}


def _unmarked(value: Any) -> Any:
    if isinstance(value, list):
        return [_unmarked(item) for item in value]
    if not isinstance(value, dict):
        return value
    match value:
        case {"$bytes": text}:
            return base64.b64decode(text)
        case {"$float": text}:
            return float(text)
        case {"$int": text}:
            return int(text)
        case {"$undefined": _}:
            return UNDEFINED
        case _:
            return {key: _unmarked(item) for key, item in value.items()}
