"""Settings that do not do what they seem to, or nothing at all: who wrote one down should know."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msgspec import inspect

from rocade.node.configuration_file import joined
from rocade.node.policy import misleading
from rocade.node.section import Section
from rocade.node.services import LongPollService, WebSocketService
from rocade.node.settings import Configuration

__all__ = ["remarks"]


def remarks(configuration: Configuration) -> list[str]:
    """One sentence for each setting that does not do what it seems to, or has no effect, with its place in the file."""
    return [*_of(configuration, ""), *misleading(configuration.worker.realms)]


def _of(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, Section):
        yield from _of_section(value, path)
    elif isinstance(value, tuple):
        for index, item in enumerate(value):
            yield from _of(item, f"{path}[{index}]")
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _of(item, joined(path, key))


def _of_section(section: Section, path: str) -> Iterator[str]:
    described = inspect.type_info(type(section))
    assert isinstance(described, inspect.StructType)
    for field in described.fields:
        value = getattr(section, field.name)
        at = joined(path, field.encode_name)
        extra = (field.type.extra or {}) if isinstance(field.type, inspect.Metadata) else {}
        if "ineffective" not in extra:
            yield from _of(value, at)
        elif value != extra["usual"]:
            yield f"{at} has no effect: {extra['ineffective']}"
    has_cookie = isinstance(section, WebSocketService | LongPollService) and section.cookie is not None
    if has_cookie and (section.auth is None or section.auth.cookie is None):  # type: ignore[attr-defined]
        yield f"{joined(path, 'cookie')} has no effect: 'auth' lets nobody in by 'cookie'"
