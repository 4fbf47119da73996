"""Configuration files as plain data: JSON with comments, YAML and TOML, and variables of the environment.

What comes out is lists, dicts, text, numbers, booleans and None, whatever the format was. What they mean is for
`rocade.node.settings`.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn

from rocade.errors import ConfigurationError

__all__ = ["FromEnvironment", "expanded", "joined", "json_without_comments", "parsed", "read"]


class FromEnvironment(str):
    """A value that is an environment variable's as a whole, so "8080" may stand where a number is wanted."""

    __slots__ = ()


def read(path: Path) -> Any:
    """The content of a configuration file as plain data.

    Args:
        path: the file; its extension says which format it has. Unknown extensions are taken for JSON.
    Raises:
        ConfigurationError: the file cannot be read or has a syntax error; the path is then "line 3, column 7".
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise ConfigurationError("", f"cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise ConfigurationError("", f"is not UTF-8 text (byte {error.start})") from None
    return parsed(text, path.suffix.lower())


def parsed(text: str, extension: str) -> Any:
    """The plain data that a text describes.

    Args:
        text: content of a configuration file.
        extension: ".yaml", ".yml" or ".toml"; anything else is JSON.
    Raises:
        ConfigurationError: a syntax error.
    """
    parse = _PARSERS.get(extension, _parsed_json)
    try:
        return parse(text)
    except RecursionError:
        raise ConfigurationError("", "is nested too deeply") from None
    except ValueError as error:  # a number of thousands of digits, or in YAML the 31st of February
        raise ConfigurationError("", _impossible(error)) from None


# JSON

_JSON_TOKENS = re.compile(
    r"""
      (?P<string> "(?:[^"\\\n]|\\.)*" )
    | (?P<comment> //[^\n]* | /\*.*?\*/ )
    | (?P<open_comment> /\* )
    | (?P<comma> , )
    | (?P<bracket> [\]}] )
    | (?P<space> \s+ )
    """,
    re.VERBOSE | re.DOTALL,
)


def json_without_comments(text: str) -> str:
    """JSON as the standard has it: comments and commas before a closing bracket have become spaces.

    Everything that is kept stays in its line and column, so that later error messages are right.

    Raises:
        ConfigurationError: a comment that is never closed.
    """
    kept = list(text)
    previous = "["  # the last character that is no space or comment
    trailing = -1  # where a comma is that becomes a trailing one if a bracket comes next
    position = 0
    while position < len(text):
        token = _JSON_TOKENS.match(text, position)
        if token is None:  # a number, a name, a colon, an opening bracket, or an error for the parser to find
            trailing, previous = -1, text[position]
            position += 1
            continue
        kind = token.lastgroup
        if kind == "open_comment":
            raise ConfigurationError(_place(text, position), "this comment is never closed")
        if kind == "comment":
            kept[position : token.end()] = re.sub(r"[^\n]", " ", token.group())
        elif kind == "comma":
            trailing = position if previous not in "[{,:" else -1  # "[,]" and "[1,,]" stay the errors that they are
        elif kind == "bracket" and trailing >= 0:
            kept[trailing] = " "
        if kind in ("string", "bracket"):
            trailing = -1
        if kind in ("string", "bracket", "comma"):
            previous = text[position]
        position = token.end()
    return "".join(kept)


def _parsed_json(text: str) -> Any:
    try:
        return json.loads(json_without_comments(text), object_pairs_hook=_unique, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise ConfigurationError(_place(text, error.pos), _lowered(error.msg)) from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):  # the parser would silently drop all but the last
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ConfigurationError("", f"the key {twice!r} appears twice in one object")
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise ConfigurationError("", f"{name} is not a number that JSON has")


def _place(text: str, position: int) -> str:
    line = text.count("\n", 0, position) + 1
    column = position - text.rfind("\n", 0, position)
    return f"line {line}, column {column}"


def _lowered(message: str) -> str:
    return message[:1].lower() + message[1:]


# YAML and TOML


def _parsed_yaml(text: str) -> Any:
    try:
        import yaml
    except ImportError:
        raise ConfigurationError("", 'needs PyYAML: pip install "rocade[yaml]"') from None

    class Loader(yaml.SafeLoader):
        """PyYAML's safe loader, which would otherwise keep the last of two equal keys."""

        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
            self.flatten_mapping(node)
            keys: set[Any] = set()
            for key_node, _ in node.value:
                key = key_node.value if isinstance(key_node, yaml.ScalarNode) else None
                if key is not None and key in keys:
                    raise ConfigurationError(_mark(key_node.start_mark), f"the key {key!r} appears twice in one object")
                keys.add(key)
            return super().construct_mapping(node, deep)

        def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
            try:
                return super().construct_object(node, deep)
            except ValueError as error:
                raise ConfigurationError(_mark(node.start_mark), _impossible(error)) from None

    try:
        return yaml.load(text, Loader)
    except yaml.MarkedYAMLError as error:
        problem = " ".join(part for part in (error.context, error.problem) if part)
        raise ConfigurationError(_mark(error.problem_mark), _one_line(problem)) from None
    except yaml.YAMLError as error:
        raise ConfigurationError("", _one_line(str(error))) from None


def _mark(mark: Any) -> str:
    return f"line {mark.line + 1}, column {mark.column + 1}" if mark else ""


def _impossible(error: ValueError) -> str:
    return f"has a value that cannot be: {_one_line(str(error)).partition('; use sys.')[0]}"


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _parsed_toml(text: str) -> Any:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        message, _, place = str(error).partition(" (at ")
        raise ConfigurationError(place.removesuffix(")"), _lowered(message)) from None


_PARSERS: Mapping[str, Callable[[str], Any]] = {".yaml": _parsed_yaml, ".yml": _parsed_yaml, ".toml": _parsed_toml}
"""What reads the formats that are not JSON, by extension."""

# Variables of the environment

_WHOLE_VARIABLE = re.compile(r"\$(?:([A-Za-z_][A-Za-z0-9_]*)|\{([A-Za-z_][A-Za-z0-9_]*)\})")
_VARIABLE = re.compile(r"\$\$\{|\$\{([^}]*)\}?")


def expanded(text: str, environment: Mapping[str, str], path: str) -> str:
    """The same text with `${NAME}` anywhere in it, or `$NAME` as the whole of it, replaced by a variable.

    `$${` stands for a plain `${`.

    Args:
        text: a value of a configuration file.
        environment: names and values of the variables.
        path: where the text stands, for messages.
    Returns:
        A `FromEnvironment` where the whole text is one variable.
    Raises:
        ConfigurationError: an unknown variable, or a `${` without its `}`.
    """

    def variable(name: str) -> str:
        if name not in environment:
            raise ConfigurationError(path, f"the environment variable {name!r} is not set")
        return environment[name]

    def replacement(found: re.Match[str]) -> str:
        if found.group() == "$${":
            return "${"
        if not found.group().endswith("}"):
            raise ConfigurationError(path, "'${' without a '}'; a plain '${' is written '$${'")
        return variable(found.group(1))

    whole = _WHOLE_VARIABLE.fullmatch(text)
    if whole:
        return FromEnvironment(variable(whole.group(1) or whole.group(2)))
    return _VARIABLE.sub(replacement, text)


_PLAIN_KEY = re.compile(r"[A-Za-z_$][A-Za-z0-9_$-]*")


def joined(path: str, key: object) -> str:
    """The path one key further: "workers[0]" and "realms" are "workers[0].realms".

    Keys that are no plain words are quoted: 'paths["/ws"]'.
    """
    if isinstance(key, str) and _PLAIN_KEY.fullmatch(key):
        return f"{path}.{key}" if path else key
    return f"{path}[{json.dumps(str(key), ensure_ascii=False)}]"
