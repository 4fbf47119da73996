"""Arguments, results and events as words of a command line and as lines of its output."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rocade.client.details import Event

__all__ = ["event_line", "json_line", "one_line", "parse_arguments", "parse_value", "show", "show_result", "text_of"]

_KEYWORD = re.compile(r"([^\W\d]\w*)=(.*)", re.DOTALL)
# What could move the cursor, or more, where strangers' text is shown on a terminal.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def parse_arguments(words: Iterable[str], *, raw: bool = False) -> tuple[list[Any], dict[str, Any]]:
    """Positional and keyword arguments of a request.

    Args:
        words: JSON, or else text; `name=` makes it a keyword argument.
        raw: take each word as it is, as text.
    """
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    for word in words:
        keyword = None if raw else _KEYWORD.fullmatch(word)
        if keyword is not None:
            kwargs[keyword[1]] = parse_value(keyword[2])
        else:
            args.append(word if raw else parse_value(word))
    return args, kwargs


def parse_value(text: str) -> Any:
    """What a text is as JSON, or else the text itself."""
    import msgspec

    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return text


def json_line(value: Any) -> str:
    """A value as JSON, on one line; binary values are in Base64."""
    import msgspec

    return msgspec.json.encode(value).decode()


def text_of(value: Any) -> str:
    """A value for people: text as it is, everything else as JSON on as many lines as it takes."""
    import msgspec

    return value if isinstance(value, str) else msgspec.json.format(json_line(value))


def one_line(args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
    """A payload for people, as it would be written on the command line."""
    return " ".join([*map(json_line, args), *(f"{name}={json_line(value)}" for name, value in kwargs.items())])


def event_line(event: Event, *, as_json: bool) -> str:
    """An event on one line."""
    if not as_json:
        return f"{event.topic} {one_line(event.args, event.kwargs)}".rstrip()
    details = {
        "topic": event.topic,
        "publication": event.publication,
        "publisher": event.publisher,
        "publisher_authid": event.publisher_authid,
        "publisher_authrole": event.publisher_authrole,
        "retained": event.retained or None,
    }
    known = {name: value for name, value in details.items() if value is not None}
    return json_line({**known, "args": event.args, "kwargs": event.kwargs})


def show_result(value: Any, *, as_json: bool) -> None:
    """Print what a call has returned: one value as it is, several with the names that they have."""
    from rocade.client.details import CallResult

    if not isinstance(value, CallResult):
        if as_json:
            show(json_line(value))
        elif value is not None:
            show(text_of(value))
        return
    if as_json:
        show(json_line({"args": value.args, "kwargs": value.kwargs}))
        return
    for each in value.args:
        show(text_of(each))
    for name, each in value.kwargs.items():
        show(f"{name}: {text_of(each)}")


def show(text: str, *, err: bool = False) -> None:
    """Print a line. On a terminal, control characters in it are shown, not obeyed."""
    stream = sys.stderr if err else sys.stdout
    if stream is not None and stream.isatty():
        text = _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)
    click.echo(text, err=err, color=True)  # which leaves the text as it is
