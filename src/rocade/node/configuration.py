"""Reading, checking and making configurations: from a file to a `Configuration` that a node can run."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from rocade.errors import ConfigurationError
from rocade.net.addresses import loopback_hosts
from rocade.node import configuration_file
from rocade.node.realms import Allow, Permission, Realm, Role
from rocade.node.rules import check, check_realm_name
from rocade.node.services import RawSocketService, WebSocketOptions, WebSocketService
from rocade.node.settings import Configuration, RouterWorker
from rocade.node.shape import shaped
from rocade.node.transports import TcpEndpoint, UniversalTransport, UnixEndpoint

__all__ = [
    "Configuration",
    "ConfigurationError",
    "ConfigurationFileError",
    "configuration_from",
    "default_configuration",
    "read_configuration",
]

LATEST_VERSION: Literal[2] = 2


class ConfigurationFileError(ConfigurationError):
    """A configuration file that cannot be used; its text begins with the file's name."""

    def __init__(self, file: str, path: str, message: str) -> None:
        """
        Args:
            file: the file, as the user wrote it.
            path: where in it: a path such as 'workers[0].type', or "line 3, column 7"; empty for the whole.
            message: what is wrong there.
        """
        super().__init__(path, message)
        self.file = file
        self.args = (f"{file}: {self}",)


def read_configuration(file: str | os.PathLike[str], environment: Mapping[str, str] | None = None) -> Configuration:
    """The configuration that a file describes, checked and upgraded to the latest version of the format.

    Args:
        file: a JSON (with comments), YAML or TOML file.
        environment: variables that the file may refer to; those of this process by default.
    Raises:
        ConfigurationFileError: the file cannot be read, or what it says cannot be used.
    """
    path = Path(file)
    try:
        return configuration_from(configuration_file.read(path), directory=path.parent, environment=environment)
    except ConfigurationError as error:
        raise ConfigurationFileError(os.fspath(file), error.path, error.message) from None


def configuration_from(
    data: Any, *, directory: str | os.PathLike[str] = ".", environment: Mapping[str, str] | None = None
) -> Configuration:
    """The configuration that plain data describes, checked and upgraded.

    Args:
        data: what a configuration file holds: dicts, lists, text, numbers.
        directory: what relative file names count from.
        environment: variables that the data may refer to; those of this process by default.
    Raises:
        ConfigurationError: the data cannot be used.
    """
    if not isinstance(data, dict):
        raise ConfigurationError("", "must be an object with the key 'workers'")
    try:
        variables = os.environ if environment is None else environment
        configuration = shaped(data, Configuration, Path(directory).absolute(), variables)
    except RecursionError:  # YAML can even say that a list is in itself
        raise ConfigurationError("", "is nested too deeply") from None
    check(configuration)
    return msgspec.structs.replace(configuration, version=LATEST_VERSION)


def default_configuration(
    host: str | None = "127.0.0.1", port: int = 8080, realm: str = "realm1", unix: str | None = None
) -> Configuration:
    """What runs when there is no file: one realm in which everybody may do everything.

    WebSocket is at `/ws`, RawSocket on the same endpoint.

    Args:
        host: interface to listen on; None for no TCP port at all.
        port: TCP port, 0 for a free one.
        realm: name of the realm.
        unix: path of a Unix domain socket to listen on (too), relative to the current directory.
    Raises:
        ConfigurationError: the realm's name is none, or there is nothing to listen on.
    """
    check_realm_name(realm, "realm")
    endpoints: list[TcpEndpoint | UnixEndpoint] = []
    if host is not None:
        endpoints.append(TcpEndpoint(port=port, interface=host))
    if unix == "":
        raise ConfigurationError("unix", "must not be empty")
    if unix is not None:
        endpoints.append(UnixEndpoint(path=os.path.abspath(unix)))
    everything = Permission(uri="", match="prefix", allow=Allow(call=True, register=True, publish=True, subscribe=True))
    worker = RouterWorker(
        realms=(Realm(name=realm, roles=(Role(name="anonymous", permissions=(everything,)),)),),
        transports=tuple(
            UniversalTransport(
                endpoint=endpoint, rawsocket=RawSocketService(), websocket={"/ws": _default_websocket(endpoint)}
            )
            for endpoint in endpoints
        ),
    )
    configuration = Configuration(version=LATEST_VERSION, workers=(worker,))
    check(configuration)
    return configuration


def _default_websocket(endpoint: TcpEndpoint | UnixEndpoint) -> WebSocketService:
    if isinstance(endpoint, UnixEndpoint) or not endpoint.loopback:
        return WebSocketService()
    return WebSocketService(options=WebSocketOptions(allowed_hosts=loopback_hosts(endpoint.interface)))
