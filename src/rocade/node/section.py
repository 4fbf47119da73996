"""What all objects of the configuration file have in common, and how "not supported yet" is written down."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import msgspec
from msgspec import Meta

__all__ = [
    "Create",
    "CreateConfig",
    "FilePath",
    "Identifier",
    "Milliseconds",
    "Section",
    "Text",
    "fixed",
    "ineffective",
    "not_yet",
    "seconds",
]


class Section(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """One object of the configuration file. Unknown keys are errors."""

    refused: ClassVar[Mapping[str, str]] = {}
    """Keys that Crossbar has and Rocade has not: key -> what to tell the reader.

    The same for values stands in the metadata of their types: `Meta(extra={"refused": …})`.
    """


def not_yet(kind: str, *names: str) -> dict[str, str]:
    """One sentence for each of several names that are not supported yet.

    Args:
        kind: what they are, in the plural: "transports".
        names: values of a file, such as "mqtt".
    """
    return {name: f"'{name}' {kind} are not supported yet" for name in names}


def fixed(value: bool | int, otherwise: str, description: str) -> Meta:
    """A setting that may be written down but has only one value for now.

    Args:
        value: the value that says what Rocade does anyway.
        otherwise: what other values would ask for: "compression is not supported yet".
        description: what the setting means.
    """
    return Meta(description=description, extra={"only": value, "otherwise": otherwise})


def ineffective(usual: Any, because: str, description: str, **limits: Any) -> Meta:
    """A setting of Crossbar's that may have any value, and changes nothing here; `remarks` tells who asks for more.

    Only for what nobody's safety rests on: the rest is refused.

    Args:
        usual: the value that says what Rocade does anyway.
        because: why there is nothing to change.
        description: what the setting means.
        **limits: as for `Meta`.
    """
    return Meta(
        description=f"{description} Without effect: {because}.",
        extra={"usual": usual, "ineffective": because},
        **limits,
    )


Text = Annotated[str, Meta(min_length=1)]
"""Text that says something."""

Create = Annotated[
    Text,
    Meta(
        description="What makes the function, as `package.module.name`: it is called with `config` and None, once. "
        "Both may be coroutine functions; neither may block."
    ),
]
"""A Python function that makes another one."""

CreateConfig = Annotated[dict[str, Any], Meta(description="Handed over to `create`.")]

Identifier = Annotated[
    str,
    Meta(min_length=1, description="Name of this object in logs and in the management interface."),
]
"""An `id` key. Crossbar makes one up where it is absent; so does the node."""

FilePath = Annotated[
    str,
    Meta(min_length=1, extra={"file": True}),
]
"""A path in the file system; a relative one counts from the directory of the configuration file."""

Milliseconds = Annotated[int, Meta(ge=0, extra={"milliseconds": True})]
"""A duration as Crossbar writes it; 0 is special, and less than a second is taken for a mistake."""


def seconds(milliseconds: int) -> float | None:
    """A duration of the file in seconds; None where the file turns it off by 0."""
    return milliseconds / 1000 if milliseconds else None
