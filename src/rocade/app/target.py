"""Finding the application that somebody names on a command line: app.py, shop.site or shop.site:app."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType

from rocade.app.application import Application
from rocade.errors import ConfigurationError

__all__ = ["NoSuchModule", "check", "directory_of", "load"]

USUAL_NAMES = ("app", "application")


class NoSuchModule(ConfigurationError):
    """There is no module of that name."""


def load(target: str) -> Application:
    """The application that a name leads to; its module is imported.

    Args:
        target: a file ("app.py") or a module ("shop.site"), with ":" and a variable's name behind it where the module
            has several applications.
    Raises:
        NoSuchModule: there is no such module.
        ConfigurationError: there is no such file or application.
        Exception: whatever the module itself raises.
    """
    check(target)
    name, _, variable = _parts(target)
    module = _file(name) if name.endswith(".py") else _module(name)
    return _application(module, name, variable)


def check(target: str) -> None:
    """Refuse a file that does not exist.

    Raises:
        ConfigurationError: it does not; or it is no Python file, and no module can have that name.
    """
    name, _, _ = _parts(target)
    if name.endswith(".py"):
        if not Path(name).is_file():
            raise ConfigurationError("", f"there is no file {name}")
    elif not all(part.isidentifier() for part in name.split(".")):
        raise ConfigurationError("", f"{name!r} is neither a Python file nor the name of a module")


def directory_of(target: str) -> Path:
    """Where the files of a target are: a file's directory, or the current one for modules."""
    name, _, _ = _parts(target)
    return Path(name).resolve().parent if name.endswith(".py") else Path.cwd()


def _parts(target: str) -> tuple[str, str, str]:
    # A colon may be part of a path: C:\app.py.
    head, colon, variable = target.rpartition(":")
    return (head, colon, variable) if colon and variable.isidentifier() else (target, "", "")


def _file(name: str) -> ModuleType:
    path = Path(name).resolve()
    _search_first(str(path.parent))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None, "the name ends in .py"
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def _module(name: str) -> ModuleType:
    _search_first(os.getcwd())
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        # What the user's own module misses is the user's to see, with its traceback.
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise
        raise NoSuchModule("", f"there is no module {name!r} here, and no file of that name") from None


def _search_first(directory: str) -> None:
    if directory not in sys.path:
        sys.path.insert(0, directory)


def _application(module: ModuleType, name: str, variable: str) -> Application:
    found = {key: value for key, value in vars(module).items() if isinstance(value, Application)}
    if variable:
        if variable not in found:
            there = f"; there is {' and '.join(found)}" if found else ""
            raise ConfigurationError("", f"{name} has no Application named {variable!r}{there}")
        return found[variable]
    for usual in USUAL_NAMES:
        if usual in found:
            return found[usual]
    distinct = {id(value): key for key, value in found.items()}
    if len(distinct) == 1:
        return next(iter(found.values()))
    if not found:
        raise ConfigurationError("", f"{name} has no Application: write app = Application('demo') in it")
    raise ConfigurationError("", f"{name} has several applications: choose one of {', '.join(distinct.values())}")
