"""The cookies of a router worker: its stores, and the jar of each service."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rocade.errors import ConfigurationError
from rocade.node.cookies import CookieSettings, FileCookies
from rocade.node.logins import stamp
from rocade.node.services import LongPollService, WampService, WebSocketService
from rocade.node.settings import RouterWorker, TesteeWorker
from rocade.node.transports import wamp_services
from rocade.serve.authentication.cookie_store import CookieStore
from rocade.serve.authentication.cookies import CookieJar, CookieOptions

if TYPE_CHECKING:
    from rocade.serve.authentication.cookie_file import CookieFile

__all__ = ["CookieJars", "settings_of"]


class CookieJars:
    """All cookies of a worker."""

    def __init__(self, configuration: RouterWorker | TesteeWorker) -> None:
        """
        Args:
            configuration: of a checked configuration file.
        """
        self._configuration = configuration
        self._memory = CookieStore()
        # file name -> what is in the file
        self._stores: dict[str, CookieStore] = {}
        self._files: list[CookieFile] = []

    def open(self) -> None:
        """Open the files.

        Raises:
            ConfigurationError: one cannot be used; none is open then.
        """
        for position, transport in enumerate(self._configuration.transports):
            for service in wamp_services(transport):
                settings = settings_of(service)
                if settings is None or not isinstance(settings.store, FileCookies):
                    continue
                from rocade.serve.authentication.cookie_file import CookieFile

                name = settings.store.filename
                if name in self._stores:
                    continue
                try:
                    file = CookieFile(name, time.time())
                except ConfigurationError as error:
                    self.close(0.0)
                    path = self._configuration.transport_path(position)
                    raise ConfigurationError(path, error.message) from None
                self._files.append(file)
                self._stores[name] = CookieStore(file, file.records)

    @property
    def has_files(self) -> bool:
        """Whether there is anything to write."""
        return bool(self._files)

    def start(self) -> None:
        """Begin to write the files."""
        for file in self._files:
            file.start()

    def close(self, timeout: float) -> None:
        """Write what waits, and close the files.

        Args:
            timeout: seconds that this may take.
        """
        deadline = time.monotonic() + timeout
        for file in self._files:
            file.close(max(0.0, deadline - time.monotonic()))
        self._files.clear()
        self._stores.clear()

    def jar(self, service: WampService, *, is_secure: bool) -> CookieJar | None:
        """The cookies of a service; None if it has none. The files are open.

        Args:
            service: of the configuration.
            is_secure: whether its endpoint has TLS.
        """
        settings = settings_of(service)
        if settings is None or service.auth is None:
            return None
        options = CookieOptions(
            name=settings.name,
            length=settings.length,
            max_age=settings.max_age,
            secure=is_secure if settings.secure is None else settings.secure,
            http_only=settings.http_strict,
            same_site=settings.same_site,
        )
        kept = settings.store
        store = self._stores[kept.filename] if isinstance(kept, FileCookies) else self._memory
        return CookieJar(options, store, stamp(service.auth))


def settings_of(service: WampService) -> CookieSettings | None:
    """What the cookies of a service are like; None if clients cannot log in by them."""
    if not isinstance(service, WebSocketService | LongPollService) or service.auth is None:
        return None
    return None if service.auth.cookie is None else service.cookie or CookieSettings()
