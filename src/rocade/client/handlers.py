"""Functions as procedures and event handlers: what they take is read from their signatures, once."""

from __future__ import annotations

import builtins
import inspect
import re
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Mapping, Sequence
from enum import Enum
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import msgspec

from rocade.client.details import CallDetails, Context, Event, EventDetails
from rocade.errors import InvalidArgument

__all__ = ["Handler", "Kind", "kind_of"]

_DETAILS = (CallDetails, Context, Event, EventDetails)
_STREAMS = (AsyncIterator, AsyncIterable, AsyncGenerator)
_Parameter = inspect.Parameter
_PLACE = re.compile(r" - at `(?:key in )?\$(?:\[(\d+)\]|\.(\w+))?([^`]*)`$")


class Kind(Enum):
    """What calling a function gives."""

    COROUTINE = "coroutine"
    ASYNC_GENERATOR = "async generator"
    GENERATOR = "generator"
    PLAIN = "plain"


class Handler:
    """A function and what it takes.

    Attributes:
        function: the function.
        name: for logs.
        kind: what calling it gives.
        wants_details: whether its first parameter is for details.
        takes_stream: whether a parameter is an asynchronous iterator, for progressive invocations.
        stream_index: which of its positional parameters, without details.
    """

    __slots__ = (
        "_defaults",
        "_item",
        "_keywords",
        "_named",
        "_others",
        "_positional",
        "_prefixes",
        "_rest",
        "_takes_any",
        "_takes_any_keywords",
        "_types",
        "function",
        "kind",
        "name",
        "stream_index",
        "takes_stream",
        "wants_details",
    )

    def __init__(self, function: Callable[..., Any]) -> None:
        """
        Args:
            function: a function, method or other callable.
        Raises:
            TypeError: it is none, or a type hint is of a kind that arguments cannot have.
        """
        if not callable(function):
            raise TypeError(f"{function!r} is not callable; the function comes first, and then the URI")
        self.function = function
        self.name = getattr(function, "__qualname__", None) or repr(function)
        self.kind = kind_of(function)
        parameters, hints = _parameters(function)
        self.wants_details = bool(parameters) and _is_details(hints.get(parameters[0].name))
        if self.wants_details:
            parameters = parameters[1:]
        self._read(parameters, hints)

    def _read(self, parameters: Sequence[inspect.Parameter], hints: Mapping[str, Any]) -> None:
        places = (_Parameter.POSITIONAL_ONLY, _Parameter.POSITIONAL_OR_KEYWORD)
        self._positional = [p.name for p in parameters if p.kind in places]
        self._defaults = {p.name for p in parameters if p.default is not _Parameter.empty}
        self._keywords = {
            p.name for p in parameters if p.kind in (_Parameter.POSITIONAL_OR_KEYWORD, _Parameter.KEYWORD_ONLY)
        }
        rest = next((p for p in parameters if p.kind is _Parameter.VAR_POSITIONAL), None)
        others = next((p for p in parameters if p.kind is _Parameter.VAR_KEYWORD), None)
        self._takes_any, self._takes_any_keywords = rest is not None, others is not None
        # name -> type, of parameters that have a name
        self._types = {p.name: hints.get(p.name, Any) for p in parameters if p not in (rest, others)}
        self.takes_stream, self.stream_index, self._item = self._find_stream()
        # How many positional arguments -> what checks them; made when first needed.
        self._prefixes: dict[int, Any] = {}
        self._named = self._rest = self._others = None
        if any(kind is not Any for kind in self._types.values()):
            self._named = _struct(self._types, by_name=True)
        if rest is not None and hints.get(rest.name, Any) is not Any:
            self._rest = _struct({rest.name: list.__class_getitem__(hints[rest.name])}, by_name=False)
        if others is not None and hints.get(others.name, Any) is not Any:
            self._others = _struct({others.name: dict.__class_getitem__((str, hints[others.name]))}, by_name=False)
        # What msgspec cannot check is found out here, not when the first call comes.
        self._check_hints()

    def _find_stream(self) -> tuple[bool, int, Any]:
        for index, name in enumerate(self._positional):
            kind = self._types[name]
            if get_origin(kind) in _STREAMS or kind in _STREAMS:
                self._types[name] = Any
                item = (get_args(kind) or (Any,))[0]
                return True, index, None if item is Any else _struct({name: item}, by_name=False)
        return False, 0, None

    def _check_hints(self) -> None:
        for made in (self._named, self._rest, self._others, self._item):
            if made is not None:
                try:
                    msgspec.json.Decoder(made)
                except TypeError as error:
                    raise TypeError(f"{self.name}: a type hint that arguments cannot have: {error}") from None

    # --- arguments --------------------------------------------------------------------------------

    def bind(
        self, args: Sequence[Any], kwargs: Mapping[str, Any], stream: AsyncIterator[Any] | None = None
    ) -> tuple[Sequence[Any], Mapping[str, Any]]:
        """Arguments as the function takes them, without its details: checked, and converted to its type hints.

        Args:
            args: positional arguments.
            kwargs: keyword arguments.
            stream: for the parameter that takes one.
        Raises:
            InvalidArgument: one is missing, too many or of the wrong type; the text names it.
        """
        if stream is not None:
            index = self.stream_index
            args = [*args[:index], stream, *args[index:]]
        count = len(args)
        if not kwargs and count <= len(self._positional):
            self._require(self._positional[:count], kwargs)
            if self._named is None or not count:
                return args, kwargs
            checked = self._prefixes.get(count) or self._prefix(count)
            return msgspec.structs.astuple(self._convert(args, checked, self._positional)), kwargs
        return self._bind_all(args, kwargs)

    def item(self, value: Any) -> Any:
        """One item of a stream.

        Raises:
            InvalidArgument: it is not of the type that the function takes.
        """
        if self._item is None:
            return value
        return self._convert([value], self._item, [self._positional[self.stream_index]]).a0

    def _prefix(self, count: int) -> Any:
        names = self._positional[:count]
        made = self._prefixes[count] = _struct({name: self._types[name] for name in names}, by_name=False)
        return made

    def _bind_all(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[Sequence[Any], Mapping[str, Any]]:
        places = len(self._positional)
        if len(args) > places and not self._takes_any:
            raise InvalidArgument(f"takes {_counted(places, 'positional argument')}, not {len(args)}")
        head, rest = list(args[:places]), args[places:]
        taken = self._positional[: len(head)]
        for name in kwargs:
            if name in taken and name in self._keywords:
                raise InvalidArgument(f"argument {name!r} is given twice")
            if name not in self._keywords and not self._takes_any_keywords:
                raise InvalidArgument(f"there is no argument {name!r}")
        self._require(taken, kwargs)
        named = {name: value for name, value in kwargs.items() if name in self._keywords}
        others = {name: value for name, value in kwargs.items() if name not in self._keywords}
        if self._named is not None:
            values = dict(zip(taken, head, strict=True)) | named
            converted = self._convert(values, self._named, self._positional)
            fields = list(self._types)
            found = {name: getattr(converted, f"a{fields.index(name)}") for name in values}
            head, named = [found[name] for name in taken], {name: found[name] for name in named}
        if self._rest is not None and rest:
            rest = self._convert([list(rest)], self._rest, ["*"]).a0
        if self._others is not None and others:
            others = self._convert([others], self._others, ["**"]).a0
        return [*head, *rest], named | others

    def _require(self, taken: Sequence[str], kwargs: Mapping[str, Any]) -> None:
        if len(taken) == len(self._types):
            return
        for name in self._types:
            if name not in self._defaults and name not in taken and not (name in kwargs and name in self._keywords):
                raise InvalidArgument(f"argument {name!r} is missing")

    def _convert(self, value: Any, kind: Any, names: Sequence[str]) -> Any:
        try:
            return msgspec.convert(value, kind)
        except msgspec.ValidationError as error:
            raise InvalidArgument(_explained(str(error), names)) from None


def kind_of(function: Callable[..., Any]) -> Kind:
    """What calling a function gives."""
    target = function
    while hasattr(target, "func"):  # functools.partial
        target = target.func
    if not (inspect.isfunction(target) or inspect.ismethod(target) or inspect.isbuiltin(target)):
        target = getattr(target, "__call__", target)  # noqa: B004  # the method itself is wanted
    if inspect.iscoroutinefunction(target):
        return Kind.COROUTINE
    if inspect.isasyncgenfunction(target):
        return Kind.ASYNC_GENERATOR
    return Kind.GENERATOR if inspect.isgeneratorfunction(target) else Kind.PLAIN


def _parameters(function: Callable[..., Any]) -> tuple[list[inspect.Parameter], dict[str, Any]]:
    """Parameters of a function, and name -> type hint of those that have one."""
    try:
        signature = inspect.signature(function)
    except ValueError:  # of some functions in C nobody knows
        signature = inspect.Signature(
            [_Parameter("args", _Parameter.VAR_POSITIONAL), _Parameter("kwargs", _Parameter.VAR_KEYWORD)]
        )
    parameters = list(signature.parameters.values())
    namespace = _namespace(function)
    hints = {}
    for parameter in parameters:
        hint = parameter.annotation
        if isinstance(hint, str):
            try:
                hint = eval(hint, namespace)  # as typing.get_type_hints does, but one by one
            except Exception:  # only there for type checkers
                continue
        if hint is not _Parameter.empty:
            hints[parameter.name] = type(None) if hint is None else Any if hint is object else hint
    return parameters, hints


def _namespace(function: Callable[..., Any]) -> dict[str, Any]:
    target: Any = inspect.unwrap(function)
    while hasattr(target, "func"):
        target = target.func
    if not hasattr(target, "__globals__") and not inspect.ismethod(target):
        target = getattr(type(target), "__call__", target)  # noqa: B004  # the method itself is wanted
    target = getattr(target, "__func__", target)
    return {**vars(builtins), **getattr(target, "__globals__", {})}


def _is_details(hint: Any) -> bool:
    if get_origin(hint) is Annotated:
        hint = get_args(hint)[0]
    if isinstance(hint, type):
        return hint in _DETAILS
    return get_origin(hint) in (Union, UnionType) and any(choice in _DETAILS for choice in get_args(hint))


def _struct(types: Mapping[str, Any], *, by_name: bool) -> Any:
    """A struct with a field for each parameter; msgspec keeps what it knows of a struct, and of nothing else."""
    fields = [f"a{index}" for index in range(len(types))]
    return msgspec.defstruct(
        "Arguments",
        [
            (field, kind, msgspec.UNSET) if by_name else (field, kind)
            for field, kind in zip(fields, types.values(), strict=True)
        ],
        rename=dict(zip(fields, types, strict=True)),
        array_like=not by_name,
        gc=False,
    )


def _explained(text: str, names: Sequence[str]) -> str:
    """msgspec's words, with the argument's name for its place."""
    place = _PLACE.search(text)
    if place is None:
        return text.replace("`", "'")
    index, name, path = place.groups()
    if index is not None and int(index) < len(names):
        name = names[int(index)]
    words = text[: place.start()].replace("`", "")
    words = words[:1].lower() + words[1:]
    return f"argument {name!r}{f' at {path}' if path else ''}: {words}" if name else words


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
