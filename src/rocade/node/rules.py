"""What a configuration must fulfil beyond its types: names are unique, references lead somewhere, ports are free."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from ipaddress import ip_network
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from rocade.errors import ConfigurationError
from rocade.node.certificates import server_tls
from rocade.node.configuration_file import joined
from rocade.node.limits import TransportLimits
from rocade.node.logins import check_logins
from rocade.node.policy import check_authorizers, check_role
from rocade.node.realms import MemoryStore, Realm, SqliteStore
from rocade.node.services import (
    ALL_SERIALIZERS,
    LongPollService,
    PathService,
    StaticService,
    WampService,
    WebSocketService,
)
from rocade.node.settings import ONE_WORKER, Configuration, RouterWorker, TesteeWorker
from rocade.node.transports import (
    RawSocketTransport,
    TcpEndpoint,
    TesteeTransport,
    Transport,
    UniversalTransport,
    UnixEndpoint,
    WebSocketTransport,
    canonical_path,
)
from rocade.wamp.uris import is_pattern, is_reserved, is_uri

__all__ = ["check", "check_realm_name"]


def check(configuration: Configuration) -> None:
    """Refuse a configuration that cannot work.

    Raises:
        ConfigurationError: the first rule that is broken, with the path to where.
    """
    if not configuration.workers:
        raise ConfigurationError("workers", "must have a router worker")
    if len(configuration.workers) > 1:
        raise ConfigurationError("workers[1]", f"a second worker is not supported yet ({ONE_WORKER})")
    worker = configuration.worker
    if isinstance(worker, TesteeWorker):
        _check_testee(worker.transport, worker.transport_path(0))
        return
    _check_realms(worker, "workers[0].realms")
    _check_transports(worker, "workers[0].transports")


# Realms


def check_realm_name(name: str, path: str) -> None:
    """Refuse what is no name of a realm.

    Raises:
        ConfigurationError: the name is no URI, or below `wamp.`, which WAMP keeps for itself.
    """
    if not is_uri(name):
        raise ConfigurationError(
            path, f"{name!r} is no realm name: a URI of words joined by single dots, without spaces and '#'"
        )
    if is_reserved(name):
        raise ConfigurationError(path, f"{name!r} is no realm name: 'wamp' is reserved by the protocol")


def _check_realms(worker: RouterWorker, path: str) -> None:
    if not worker.realms:
        raise ConfigurationError(path, "must have at least one realm")
    for index, realm in enumerate(worker.realms):
        check_realm_name(realm.name, f"{path}[{index}].name")
        for role_index, role in enumerate(realm.roles):
            check_role(role, f"{path}[{index}].roles[{role_index}]")
        _check_unique((role.name for role in realm.roles), f"{path}[{index}].roles", "name", "role")
        _check_history(realm, f"{path}[{index}].store")
    _check_unique((realm.name for realm in worker.realms), path, "name", "realm")
    check_authorizers(worker.realms, path)
    _check_stores(worker, path)


MAX_MEMORY_LIMIT = 100_000
"""Events of one entry of a store in memory: looking through more would hold up everybody else."""


def _check_history(realm: Realm, path: str) -> None:
    """Refuse what is no topic, is there twice, or is more than memory should hold."""
    store = realm.store
    if store is None:
        return
    if isinstance(store, MemoryStore) and store.limit > MAX_MEMORY_LIMIT:
        raise ConfigurationError(f"{path}.limit", _too_many(store.limit))
    strict = realm.options.uri_check == "strict"
    seen: dict[tuple[str, str], int] = {}  # pattern -> index of the entry that has it
    for index, entry in enumerate(store.event_history):
        at = f"{path}.event-history[{index}]"
        if not (is_uri if entry.match == "exact" else is_pattern)(entry.uri, strict=strict):
            raise ConfigurationError(f"{at}.uri", f"{entry.uri!r} is no {_KINDS[entry.match]}")
        if is_reserved(entry.uri):
            raise ConfigurationError(f"{at}.uri", f"{entry.uri!r}: events of the protocol itself are not kept")
        if (entry.uri, entry.match) in seen:
            first = seen[entry.uri, entry.match]
            raise ConfigurationError(f"{at}.uri", f"{entry.uri!r} is there already ({path}.event-history[{first}])")
        seen[entry.uri, entry.match] = index
        if isinstance(store, MemoryStore) and (entry.limit or 0) > MAX_MEMORY_LIMIT:
            raise ConfigurationError(f"{at}.limit", _too_many(entry.limit))


_KINDS = {"exact": "topic", "prefix": "prefix of topics", "wildcard": "pattern of topics"}


def _too_many(limit: int | None) -> str:
    return (
        f"a store in memory keeps at most {MAX_MEMORY_LIMIT} events of an entry, not {limit}; one in a file keeps more"
    )


def _check_stores(worker: RouterWorker, path: str) -> None:
    first: dict[str, int] = {}  # file -> index of the realm that has it
    for index, realm in enumerate(worker.realms):
        if isinstance(realm.store, SqliteStore):
            file = os.path.realpath(realm.store.path)
            if file in first:
                raise ConfigurationError(
                    f"{path}[{index}].store.path", f"{path}[{first[file]}] has the same file; each realm needs its own"
                )
            first[file] = index


def _check_unique(names: Iterable[str], path: str, key: str, kind: str) -> None:
    first: dict[str, int] = {}  # name -> index of the one that has it
    for index, name in enumerate(names):
        if name in first:
            raise ConfigurationError(
                f"{path}[{index}].{key}", f"the {kind} {name!r} is defined already ({path}[{first[name]}])"
            )
        first[name] = index


# Transports


def _check_transports(worker: RouterWorker, path: str) -> None:
    if not worker.transports:
        raise ConfigurationError(path, "must have at least one transport")
    for index, transport in enumerate(worker.transports):
        at = f"{path}[{index}]"
        _check_endpoint(transport.endpoint, f"{at}.endpoint")
        _check_proxies(transport.limits, f"{at}.limits.trusted_proxies")
        for service_path, service in _services_with_paths(transport, at):
            _check_service(service, service_path, worker.realms)
            _check_certificates(service, transport.endpoint, f"{service_path}.auth.tls")
            _check_cookies(service, transport.endpoint, service_path)
    _check_collisions(worker.transports, path)


def _check_testee(transport: TesteeTransport, path: str) -> None:
    _check_endpoint(transport.endpoint, f"{path}.endpoint")
    _check_websocket(transport, path)
    if transport.limits != TransportLimits():
        raise ConfigurationError(f"{path}.limits", "a testee has no limits")
    if transport.auth is not None:
        raise ConfigurationError(f"{path}.auth", "a testee has no sessions, so there is nothing to log in to")
    if transport.serializers != ALL_SERIALIZERS:
        raise ConfigurationError(f"{path}.serializers", "a testee sends messages back as they are, in no serializer")


def _check_proxies(limits: TransportLimits, path: str) -> None:
    for index, address in enumerate(limits.trusted_proxies):
        try:
            ip_network(address)
        except ValueError:
            text = f"{address!r} is neither an address nor a network such as '10.0.0.0/8'"
            raise ConfigurationError(f"{path}[{index}]", text) from None


def _check_endpoint(endpoint: TcpEndpoint | UnixEndpoint, path: str) -> None:
    if isinstance(endpoint, UnixEndpoint):
        try:
            endpoint.file_mode  # noqa: B018  computing it is the check
        except ValueError:
            raise ConfigurationError(
                f"{path}.mode", f'{endpoint.mode!r} is no file mode; write it as octal text, such as "0660"'
            ) from None
    elif endpoint.version and endpoint.interface and (endpoint.version == 6) != (":" in endpoint.interface):
        # a host name counts as IPv4: which of its addresses is meant, nobody can tell
        raise ConfigurationError(
            f"{path}.version", f"{endpoint.version} does not fit the interface {endpoint.interface!r}"
        )
    server_tls(endpoint, path)  # loading the files is the check


def _services_with_paths(transport: Transport, path: str) -> Iterable[tuple[str, PathService | WampService]]:
    """Every service of a transport, with where in the file it stands."""
    if isinstance(transport, RawSocketTransport | WebSocketTransport):
        yield path, transport
    elif isinstance(transport, UniversalTransport):
        if transport.rawsocket:
            yield f"{path}.rawsocket", transport.rawsocket
        web_paths = transport.web.paths if transport.web else {}
        yield from _at_paths(transport.websocket, f"{path}.websocket", {})
        taken = {canonical_path(key): joined(f"{path}.websocket", key) for key in transport.websocket}
        yield from _at_paths(web_paths, f"{path}.web.paths", taken)
        if not (transport.rawsocket or transport.websocket or web_paths):
            raise ConfigurationError(path, "has none of 'rawsocket', 'websocket' and 'web'")
    else:
        yield from _at_paths(transport.paths, f"{path}.paths", {})


def _at_paths(services: Any, path: str, taken: dict[str, str]) -> Iterable[tuple[str, PathService | WampService]]:
    seen = dict(taken)  # canonical path -> where in the file
    for key, service in services.items():
        at = joined(path, key)
        canonical = canonical_path(key)
        if not key or "//" in key or re.search(r"[\s?#%]", key) or {".", ".."} & set(key.split("/")):
            raise ConfigurationError(at, f"{key!r} is no path: write '/' or segments such as '/ws' or '/api/v1'")
        if canonical in seen:
            raise ConfigurationError(at, f"the path {canonical!r} is served already ({seen[canonical]})")
        seen[canonical] = at
        yield at, service


def _check_service(service: PathService | WampService, path: str, realms: tuple[Realm, ...]) -> None:
    if isinstance(service, StaticService):
        _check_static(service, path)
    if isinstance(service, WampService):
        _check_auth(service, f"{path}.auth", realms)
        _check_serializers(service, f"{path}.serializers")
    if isinstance(service, WebSocketService):
        _check_websocket(service, path)


def _check_auth(service: WampService, path: str, realms: tuple[Realm, ...]) -> None:
    roles = {realm.name: {role.name for role in realm.roles} for realm in realms}
    if service.auth is not None:
        check_logins(service.auth, path, roles)
    elif not any("anonymous" in names for names in roles.values()):
        known = sorted({name for names in roles.values() for name in names})
        defined = f"defined are {', '.join(map(repr, known))}" if known else "none is defined"
        raise ConfigurationError(
            path, f"left out, so clients join as 'anonymous', a role that no realm defines ({defined})"
        )


def _check_cookies(service: PathService | WampService, endpoint: TcpEndpoint | UnixEndpoint, path: str) -> None:
    """Cookies travel in headers, and browsers take some of them over TLS only."""
    if not isinstance(service, WampService) or service.auth is None or service.auth.cookie is None:
        return
    if not isinstance(service, WebSocketService | LongPollService):
        raise ConfigurationError(f"{path}.auth.cookie", "needs HTTP, which 'rawsocket' has nothing of")
    settings = service.cookie
    if settings is None:
        return
    is_secure = endpoint.tls is not None if settings.secure is None else settings.secure
    if not is_secure:
        if settings.same_site == "None":
            raise ConfigurationError(f"{path}.cookie.same_site", "'None' needs 'secure', or browsers drop the cookie")
        if settings.name.startswith("__"):
            raise ConfigurationError(f"{path}.cookie.name", f"{settings.name!r} needs 'secure', or browsers drop it")


def _check_certificates(service: PathService | WampService, endpoint: TcpEndpoint | UnixEndpoint, path: str) -> None:
    """Logins by certificate need clients that can show one."""
    if not isinstance(service, WampService) or service.auth is None or service.auth.tls is None:
        return
    if isinstance(service, LongPollService):
        raise ConfigurationError(path, "certificates are not seen by 'longpoll' services")
    if endpoint.tls is None or not endpoint.tls.asks_for_certificates:
        raise ConfigurationError(path, "needs an endpoint whose 'tls' has 'ca_certificates', to ask clients for theirs")


def _check_serializers(service: WampService, path: str) -> None:
    for index, name in enumerate(service.serializers):
        if name in service.serializers[:index]:
            raise ConfigurationError(f"{path}[{index}]", f"{name!r} is listed twice")


def _check_websocket(service: WebSocketService, path: str) -> None:
    _check_frame_limit(service, f"{path}.options.max_frame_size")
    if service.url is not None:
        _check_url(service.url, f"{path}.url")


def _check_frame_limit(service: WebSocketService, path: str) -> None:
    limit = service.options.max_message_size
    if 0 < service.options.max_frame_size < limit:
        raise ConfigurationError(path, f"a limit below that of messages ({limit}) is not supported yet")


def _check_url(url: str, path: str) -> None:
    try:
        parts = urlsplit(url)
        right = parts.scheme in ("ws", "wss") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        right = False
    if not right:
        raise ConfigurationError(path, f"{url!r} is no WebSocket URL, such as 'ws://localhost:8080/ws'")


def _check_static(service: StaticService, path: str) -> None:
    from_package = service.package is not None and service.resource is not None
    partly = (service.package is None) != (service.resource is None)
    if partly or from_package == (service.directory is not None):
        raise ConfigurationError(path, "needs either 'directory', or 'package' and 'resource'")
    root = service.root
    if root is None:
        raise ConfigurationError(f"{path}.package", f"there is no Python package {service.package!r}")
    if not os.path.isdir(root):  # unlike the method of a path, this fails for no name whatever
        key = "resource" if from_package else "directory"
        raise ConfigurationError(f"{path}.{key}", f"there is no directory {str(root)!r}")
    for suffix in service.options.mime_types:
        if not suffix.startswith("."):
            raise ConfigurationError(
                joined(f"{path}.options.mime_types", suffix), "an extension begins with a dot, such as '.svg'"
            )
    for key in ("default_file", "fallback"):
        name = getattr(service.options, key)
        if name is not None and not _inside(root, name):
            raise ConfigurationError(f"{path}.options.{key}", f"there is no file {name!r} in {str(root)!r}")


def _inside(root: Path, name: str) -> bool:
    file = Path(os.path.realpath(root / name))
    return os.path.isfile(file) and file.is_relative_to(os.path.realpath(root))


def _check_collisions(transports: tuple[Transport, ...], path: str) -> None:
    for index, transport in enumerate(transports):
        for earlier_index, earlier in enumerate(transports[:index]):
            if _collide(transport.endpoint, earlier.endpoint):
                raise ConfigurationError(
                    f"{path}[{index}].endpoint",
                    f"{transport.endpoint} is taken already by {path}[{earlier_index}].endpoint",
                )


def _collide(one: TcpEndpoint | UnixEndpoint, other: TcpEndpoint | UnixEndpoint) -> bool:
    if isinstance(one, UnixEndpoint) and isinstance(other, UnixEndpoint):
        return os.path.realpath(one.path) == os.path.realpath(other.path)
    if isinstance(one, UnixEndpoint) or isinstance(other, UnixEndpoint):
        return False
    if one.port == 0 or one.port != other.port or one.ip_version != other.ip_version:
        return False
    return one.interface == other.interface or one.all_interfaces or other.all_interfaces
