"""Where in a configuration file something stands: its line, for those who look it up."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rocade.node.configuration_file import json_without_comments

__all__ = ["line"]

_SPACE = re.compile(r"\s*")


def line(file: Path, keys: Sequence[str | int]) -> int | None:
    """The line in which a value begins; None for TOML, and where it cannot be told.

    Args:
        file: a configuration file that was read before.
        keys: the way to the value: keys of objects and positions in lists.
    """
    text = file.read_bytes().decode("utf-8-sig")
    extension = file.suffix.lower()
    if extension == ".toml":
        return None
    try:
        return _yaml_line(text, keys) if extension in (".yaml", ".yml") else _json_line(text, keys)
    except (ValueError, LookupError, TypeError, AttributeError):
        return None  # the file has changed meanwhile


def _json_line(text: str, keys: Sequence[str | int]) -> int:
    text = json_without_comments(text)
    decode = json.JSONDecoder().raw_decode
    at = _behind_space(text, 0)
    for key in keys:
        at = _behind_space(text, at + 1)  # the bracket
        if isinstance(key, int):
            for _ in range(key):
                _, at = decode(text, at)
                at = _behind_space(text, _behind_space(text, at) + 1)  # the comma
            continue
        while True:
            name, at = decode(text, at)
            at = _behind_space(text, _behind_space(text, at) + 1)  # the colon
            if name == key:
                break
            _, at = decode(text, at)
            at = _behind_space(text, _behind_space(text, at) + 1)
    return text.count("\n", 0, at) + 1


def _behind_space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    assert found is not None, "it matches nothing, too"
    return found.end()


def _yaml_line(text: str, keys: Sequence[str | int]) -> int:
    import yaml

    node: Any = yaml.compose(text, yaml.SafeLoader)
    for key in keys:
        if isinstance(key, int):
            node = node.value[key]
        else:
            node = next(value for name, value in node.value if name.value == key)
    return int(node.start_mark.line) + 1
