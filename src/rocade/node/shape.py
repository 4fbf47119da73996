"""Compares plain data with the types of the configuration, and says exactly where and how they differ.

msgspec validates as well, and has the last word; but its messages cannot name the key of a mapping, know no
near misses and none of Crossbar's names that are missing here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from math import inf
from pathlib import Path
from typing import Any, NoReturn, TypeVar, cast

import msgspec
from msgspec import inspect

from rocade.errors import ConfigurationError
from rocade.node.configuration_file import FromEnvironment, expanded, joined
from rocade.node.section import Section

__all__ = ["shaped"]

T = TypeVar("T", bound=Section)


def shaped(data: Any, kind: type[T], directory: Path, environment: Mapping[str, str]) -> T:
    """Plain data as a struct.

    Args:
        data: what a configuration file says.
        kind: the struct that it should be.
        directory: what relative file names count from.
        environment: variables that texts of the data may refer to.
    Raises:
        ConfigurationError: the data is something else; the path leads to the first difference.
    """
    plain = _Comparison(directory, environment).compare(data, inspect.type_info(kind), "", {})
    try:
        return msgspec.convert(plain, kind)
    except msgspec.ValidationError as error:
        message, _, place = str(error).partition(" - at `$.")
        raise ConfigurationError(place.removesuffix("`"), message) from None


class _Comparison:
    """One walk over data and types. Each method returns the value as msgspec is to have it."""

    def __init__(self, directory: Path, environment: Mapping[str, str]) -> None:
        self.directory = directory
        self.environment = environment

    def compare(self, value: Any, kind: inspect.Type, path: str, extra: Mapping[str, Any]) -> Any:
        """The value, made plain.

        Args:
            value: some part of the data.
            kind: what it should be.
            path: where it stands.
            extra: what the metadata of the type adds.
        """
        if isinstance(kind, inspect.Metadata):
            return self.compare(value, kind.type, path, {**extra, **(kind.extra or {})})
        compare = self.comparisons.get(type(kind))
        return compare(self, value, kind, path, extra) if compare else self._plain(value, path)

    def _leaf(self, value: Any, path: str) -> Any:
        """A value with its variables replaced: where it is used, so that what is refused anyway may name any.

        Raises:
            ConfigurationError: a variable that is not set, or text that cannot be written down.
        """
        if not isinstance(value, str):
            return value
        text = expanded(value, self.environment, path) if "$" in value else value
        _check_text(text, path)
        return text

    def _struct(self, value: Any, kind: inspect.StructType, path: str, extra: Mapping[str, Any]) -> Any:
        if not isinstance(value, dict):
            _mismatch(path, "an object", value)
        section = cast(type[Section], kind.cls)
        fields = {field.encode_name: field for field in kind.fields}
        plain: dict[str, Any] = {}
        # "type" first: of the wrong type of object, all the other keys would look wrong
        for key in sorted(value, key=lambda key: key != "type"):
            key_at = joined(path, key)
            if key in fields:
                plain[key] = self.compare(value[key], fields[key].type, key_at, {})
            elif key == kind.tag_field:
                plain[key] = _chosen(self._leaf(value[key], key_at), [str(kind.tag)], key_at, {})
            elif key in section.refused:
                raise ConfigurationError(key_at, section.refused[key])
            else:
                accepted = [*([kind.tag_field] if kind.tag_field else []), *fields]
                raise ConfigurationError(key_at, "unknown key" + _hint(key, accepted))
        for name, field in fields.items():
            if field.required and name not in value:
                raise ConfigurationError(joined(path, name), "is required" + _accepted(field.type))
        return plain

    def _union(self, value: Any, kind: inspect.UnionType, path: str, extra: Mapping[str, Any]) -> Any:
        members = [member for member in kind.types if not isinstance(member, inspect.NoneType)]
        if value is None and len(members) < len(kind.types):
            return None
        tagged = {str(member.tag): member for member in members if isinstance(member, inspect.StructType)}
        if len(tagged) > 1:
            if not isinstance(value, dict):
                _mismatch(path, "an object", value)
            type_at = path + ".type"
            if "type" not in value:
                raise ConfigurationError(type_at, f"is required ({_listed(tagged)})")
            tag = _chosen(self._leaf(value["type"], type_at), list(tagged), type_at, extra)
            return self.compare(value, tagged[tag], path, {})
        # text first: a variable's "0660" is not to be taken for a number where text is welcome
        members.sort(key=lambda member: not isinstance(member, inspect.StrType))
        for member in members[:-1]:
            try:
                return self.compare(value, member, path, extra)
            except ConfigurationError:
                continue
        return self.compare(value, members[-1], path, extra)

    def _list(self, value: Any, kind: inspect.VarTupleType, path: str, extra: Mapping[str, Any]) -> Any:
        if not isinstance(value, list):
            _mismatch(path, "a list", value)
        if len(value) < (kind.min_length or 0):
            raise ConfigurationError(path, "must not be empty")
        return [self.compare(item, kind.item_type, f"{path}[{index}]", {}) for index, item in enumerate(value)]

    def _mapping(self, value: Any, kind: inspect.DictType, path: str, extra: Mapping[str, Any]) -> Any:
        if not isinstance(value, dict):
            _mismatch(path, "an object", value)
        return {
            _text_key(key, path): self.compare(item, kind.value_type, joined(path, key), {})
            for key, item in value.items()
        }

    def _literal(self, value: Any, kind: inspect.LiteralType, path: str, extra: Mapping[str, Any]) -> Any:
        value = self._leaf(value, path)
        if isinstance(value, FromEnvironment):
            value = next((choice for choice in kind.values if str(choice) == value), str(value))
        return _chosen(value, list(kind.values), path, extra)

    def _text(self, value: Any, kind: inspect.StrType, path: str, extra: Mapping[str, Any]) -> Any:
        value = self._leaf(value, path)
        if not isinstance(value, str):
            if extra.get("secret"):  # a number, say, for which somebody forgot the quotes
                raise ConfigurationError(path, "expected text, got something else")
            _mismatch(path, "text", value)
        if len(value) < (kind.min_length or 0):
            raise ConfigurationError(path, "must not be empty")
        if "\0" in value:  # no file, host or URI has one, and the system's functions crash on it
            raise ConfigurationError(path, "must not have a null character in it")
        return str(self.directory / value) if extra.get("file") else str(value)

    def _integer(self, value: Any, kind: inspect.IntType, path: str, extra: Mapping[str, Any]) -> Any:
        value = self._leaf(value, path)
        wanted = "a whole number"
        if kind.ge is not None and kind.le is not None:
            wanted += f" from {kind.ge} to {kind.le}"
        elif kind.ge is not None:
            wanted += f" of at least {kind.ge}"
        number = _number(value)
        if number is None or (kind.ge is not None and number < kind.ge) or (kind.le is not None and number > kind.le):
            _mismatch(path, wanted, value)
        if extra.get("milliseconds") and 0 < number < 1000:
            raise ConfigurationError(path, f"is in milliseconds, so {number} is too short (1000 is one second)")
        return _only(number, path, extra)

    def _boolean(self, value: Any, kind: inspect.BoolType, path: str, extra: Mapping[str, Any]) -> Any:
        value = self._leaf(value, path)
        if isinstance(value, FromEnvironment):
            value = {"true": True, "1": True, "false": False, "0": False}.get(value.lower(), value)
        if not isinstance(value, bool):
            _mismatch(path, "true or false", value)
        return _only(value, path, extra)

    def _plain(self, value: Any, path: str) -> Any:
        """A value of any kind, as long as JSON can express it."""
        if isinstance(value, dict):
            return {_text_key(key, path): self._plain(item, joined(path, key)) for key, item in value.items()}
        if isinstance(value, list):
            return [self._plain(item, f"{path}[{index}]") for index, item in enumerate(value)]
        if isinstance(value, str):
            return str(self._leaf(value, path))
        if not (value is None or isinstance(value, bool | int | float)) or value in (inf, -inf) or value != value:
            _mismatch(path, "a value that JSON can express", value)
        return value

    # type of msgspec's description -> method
    comparisons: Mapping[type, Callable[..., Any]] = {
        inspect.StructType: _struct,
        inspect.UnionType: _union,
        inspect.VarTupleType: _list,
        inspect.DictType: _mapping,
        inspect.LiteralType: _literal,
        inspect.StrType: _text,
        inspect.IntType: _integer,
        inspect.BoolType: _boolean,
    }


def _number(value: Any) -> int | None:
    if isinstance(value, FromEnvironment):
        try:
            return int(value)
        except ValueError:
            return None
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _only(value: Any, path: str, extra: Mapping[str, Any]) -> Any:
    if "only" in extra and value != extra["only"]:
        raise ConfigurationError(path, f"must be {json.dumps(extra['only'])}: {extra['otherwise']}")
    return value


def _chosen(value: Any, choices: list[Any], path: str, extra: Mapping[str, Any]) -> Any:
    refused = extra.get("refused", {})
    if isinstance(value, str) and value in refused:
        raise ConfigurationError(path, refused[value])
    if isinstance(value, bool) or not isinstance(value, str | int) or value not in choices:
        near = _near(value, choices)
        _mismatch(path, _listed(choices), value, f"; did you mean {near!r}?" if near else "")
    return choices[choices.index(value)]


def _text_key(key: Any, path: str) -> str:
    if not isinstance(key, str):
        raise ConfigurationError(path, f"the key {_shown(key)} must be text; put it in quotes")
    _check_text(key, path)
    return str(key)


def _check_text(text: str, path: str) -> None:
    """Refuse half a surrogate pair, which JSON can express: no file, host or URI has one, and nothing can send it."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ConfigurationError(path, "must not have half a character (a lone surrogate) in it") from None


def _mismatch(path: str, wanted: str, value: Any, hint: str = "") -> NoReturn:
    raise ConfigurationError(path, f"expected {wanted}, got {_shown(value)}{hint}")


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    text = repr(str(value)) if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else text[:57] + "…"


def _listed(choices: Iterable[Any]) -> str:
    names = [repr(choice) for choice in choices]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"


def _near(name: Any, names: Iterable[Any]) -> str | None:
    by_folded = {
        str(candidate).lower().replace("-", "_"): candidate for candidate in names if isinstance(candidate, str)
    }
    found = get_close_matches(str(name).lower().replace("-", "_"), by_folded, n=1, cutoff=0.7)
    return by_folded[found[0]] if found else None


def _hint(key: Any, accepted: list[str]) -> str:
    near = _near(key, accepted)
    if near:
        return f"; did you mean {near!r}?"
    return f" (accepted here: {', '.join(accepted)})" if accepted else " (nothing can be set here yet)"


def _accepted(kind: inspect.Type) -> str:
    while isinstance(kind, inspect.Metadata):
        kind = kind.type
    return f" ({_listed(kind.values)})" if isinstance(kind, inspect.LiteralType) else ""
