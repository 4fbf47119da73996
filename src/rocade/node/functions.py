"""Python functions that a configuration names."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from rocade.errors import ConfigurationError

__all__ = ["named"]


def named(name: str, path: str) -> Callable[..., Any]:
    """The function of this name.

    Args:
        name: such as "package.module.function".
        path: where in the configuration it stands.
    Raises:
        ConfigurationError: there is none, or its module cannot be imported.
    """
    module, _, attribute = name.rpartition(".")
    if not module:
        raise ConfigurationError(path, f"{name!r} names no module; write it as 'module.function'")
    try:
        found = getattr(importlib.import_module(module), attribute, None)
    except ModuleNotFoundError as error:
        raise ConfigurationError(path, f"there is no Python module {error.name!r}") from None
    except Exception as error:
        raise ConfigurationError(path, f"the module {module!r} cannot be imported: {error!r}") from None
    if not callable(found):
        raise ConfigurationError(path, f"there is no function {attribute!r} in the module {module!r}")
    return found  # type: ignore[no-any-return]
