"""`Application`: functions become procedures and event handlers by decorators, and `run` makes it all live."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine, Sized
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Unpack

from rocade.app.http import services
from rocade.app.parameters import check_parameters
from rocade.app.scaffold import Scaffold

if TYPE_CHECKING:
    from rocade.app.blocking import Blocking
    from rocade.app.running import Run
    from rocade.client.options import CallOptions, PublishOptions
    from rocade.client.parameters import ConnectParameters
    from rocade.client.session import Session
    from rocade.serve.embedded import EmbeddedRouter
    from rocade.serve.logs import LogLevel

__all__ = ["Application"]

_OF_START = ("url", "realm", "host", "port", "insecure")

logger = logging.getLogger("rocade.app")


class Application(Scaffold):
    """Procedures and event handlers under one name, and the session that offers them.

    Decorated functions stay what they are, and can be called as before::

        app = Application("demo")

        @app.register()
        def ip() -> str:  # the procedure demo.ip
            return "192.0.2.1"

        if __name__ == "__main__":
            app.run()
    """

    def __init__(self, name: str = "") -> None:
        """
        Args:
            name: one or more components of a URI, such as "demo"; "" to derive names from functions alone.
        Raises:
            TypeError: it is no text.
            ValueError: no URI can begin with the name.
        """
        super().__init__(name)
        self._run: Run | None = None
        # The one that was started here.
        self._router: EmbeddedRouter | None = None
        # While it stops.
        self._stopping: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<Application {self.name!r}>"

    # --- at work ----------------------------------------------------------------------------------

    @property
    def session(self) -> Session:
        """The session, from "onconnect" on.

        Raises:
            RuntimeError: there is none yet, or any more.
        """
        return self._current_session("app.session")

    @property
    def url(self) -> str | None:
        """Where others join the router that was started here; None if there is none."""
        return None if self._router is None else self._router.url

    @property
    def is_running(self) -> bool:
        """Whether it has been started, and not stopped yet."""
        return self._run is not None

    def call(
        self,
        procedure: str,
        /,
        *args: Any,
        timeout: float | None = None,
        options: CallOptions | None = None,
        **kwargs: Any,
    ) -> Coroutine[Any, Any, Any]:
        """Call a procedure, see `Session.call`. In plain functions there is `app.blocking.call`.

        Raises:
            RuntimeError: the application does not run, or not on the event loop of here.
        """
        session = self._session_here("call")
        return session.call(procedure, *args, timeout=timeout, options=options, **kwargs)

    def publish(
        self, topic: str, /, *args: Any, options: PublishOptions | None = None, **kwargs: Any
    ) -> Coroutine[Any, Any, int | None]:
        """Publish an event, see `Session.publish`. In plain functions there is `app.blocking.publish`.

        Raises:
            RuntimeError: the application does not run, or not on the event loop of here.
        """
        return self._session_here("publish").publish(topic, *args, options=options, **kwargs)

    @property
    def blocking(self) -> Blocking:
        """The same for plain functions, which run in threads: `app.blocking.call`, `app.blocking.publish`."""
        from rocade.app.blocking import Blocking

        return Blocking(self)

    async def emit(self, name: str, /, *args: Any) -> None:
        """Call the functions that wait for something by `@app.on`, one after the other, and wait for each.

        Args:
            name: what they wait for.
            *args: what they are called with, or as many of these as they take.
        Raises:
            RuntimeError: the application does not run.
            Exception: what a function raises; those behind it are not called.
        """
        if self._run is None:
            raise RuntimeError(f"{self!r} does not run: emit({name!r}) has nobody to reach")
        await self._run.emit(name, *args)

    def _current_session(self, what: str) -> Session:
        session = None if self._run is None else self._run.session
        if session is None:
            raise RuntimeError(f"{self!r} has no session: {what} is for handlers and hooks, while the application runs")
        return session

    def loop_for(self, what: str) -> asyncio.AbstractEventLoop:
        """The event loop that the application runs on.

        Args:
            what: who asks, for the error.
        Raises:
            RuntimeError: it does not run.
        """
        self._current_session(what)
        assert self._run is not None
        return self._run.loop

    def _session_here(self, what: str) -> Session:
        """The session, for code on its event loop."""
        session = self._current_session(f"app.{what}")
        assert self._run is not None
        try:
            is_here = asyncio.get_running_loop() is self._run.loop
        except RuntimeError:
            is_here = False
        if not is_here:
            raise RuntimeError(
                f"app.{what} is awaited, on the application's event loop; in a plain function, which runs in a "
                f"thread, write app.blocking.{what}(…)"
            )
        return session

    # --- start and stop ---------------------------------------------------------------------------

    async def start(
        self,
        url: str | None = None,
        realm: str = "realm1",
        *,
        host: str = "127.0.0.1",
        port: int | None = None,
        insecure: bool = False,
        router: EmbeddedRouter | None = None,
        tells_callers: bool | None = None,
        **connection: Unpack[ConnectParameters],
    ) -> None:
        """Join a router and take up work, on the running event loop. Returns when the application is ready.

        Args:
            url: the router's, such as "ws://127.0.0.1:8080/ws". Without it, a router is started in this process.
            realm: the realm's name.
            host: where that router listens.
            port: on which port, 0 for a free one; 8080 by default, or the next one that is free.
            insecure: let that router listen where other machines reach it, although everybody may do everything.
            router: one of this process, to join in place of a URL.
            tells_callers: whether callers get to see exceptions, with tracebacks. By default those do who are alone
                with the application on this machine: with a router that is started here, unless it is insecure.
            **connection: further arguments of `rocade.connect`, such as credentials.
        Raises:
            RuntimeError: it runs already.
            TypeError: there is no such parameter.
            ConfigurationError: the router cannot listen there.
            RocadeError: the router cannot be reached, or refuses something.
            Exception: what a function that waits for "app.starting" or "app.ready" raises.
        """
        from rocade.app.running import Run
        from rocade.client.parameters import ConnectParameters
        from rocade.client.threads import DEFAULT_THREADS

        if self._run is not None:
            raise RuntimeError(f"{self!r} runs already")
        check_parameters("app.run", connection, (*ConnectParameters.__annotations__, *_OF_START))
        where = url if router is None else router
        own = None
        if where is None:
            where = own = self._make_router(realm, host, port, insecure)
        if tells_callers is None:
            tells_callers = own is not None and not insecure
        run = Run(
            self.procedures,
            self.subscriptions,
            self.signals,
            self.hooks,
            agent=self.name or None,
            tells_callers=tells_callers,
            threads=connection.get("threads", DEFAULT_THREADS),
        )
        self._run, self._router = run, own
        if own is not None:
            logger.info("no URL, so here is a router: %s, realm %s", own.url, realm)
        try:
            await run.begin_all(where, realm, connection, None if own is None else own.start)
        except BaseException:
            self._run = self._router = None
            if own is not None:
                await own.stop()
            raise
        if own is not None:
            for files in self.http.files:
                logger.info("files of %s at %s%s", files.directory, own.http_url, files.path)
        logger.info("%s: %s", self.name or "application", _counts(self.procedures, self.subscriptions))

    def _make_router(self, realm: str, host: str, port: int | None, insecure: bool) -> EmbeddedRouter:
        # Imported here: those who join a router elsewhere need no server.
        from rocade.serve.embedded import EmbeddedRouter

        router = EmbeddedRouter(realm)
        router.bind(host, port, insecure=insecure)
        if self.http.files:
            router.serve(services(self.http.files))
        return router

    async def stop(self) -> None:
        """Stop: take no new work, let handlers that run come to their end, leave, and end the router started here.

        Awaited in a handler of its own it only begins to stop, as that waits for the handler. Does nothing when the
        application does not run.
        """
        run = self._run
        if run is None:
            return
        if self._stopping is None:
            self._stopping = run.loop.create_task(self._stop(run))
        if not run.is_work(asyncio.current_task()):
            await self._stopping

    async def _stop(self, run: Run) -> None:
        router = self._router
        try:
            await run.end_all()
        finally:
            try:
                if router is not None:
                    await router.stop()
            finally:
                self._run = self._router = self._stopping = None

    @asynccontextmanager
    async def running(
        self, url: str | None = None, realm: str = "realm1", **options: Any
    ) -> AsyncIterator[Application]:
        """The application at work for as long as an `async with` block lasts.

        Args: as for `start`.
        """
        await self.start(url, realm, **options)
        try:
            yield self
        finally:
            await self.stop()

    def run(
        self,
        url: str | None = None,
        realm: str = "realm1",
        *,
        host: str = "127.0.0.1",
        port: int | None = None,
        insecure: bool = False,
        log_level: LogLevel = "info",
        **connection: Unpack[ConnectParameters],
    ) -> None:
        """Start, work until SIGINT or SIGTERM, and stop. Nothing that follows in the program happens before.

        The program's exit code is 0 after an orderly end, and 1 when the application could not start, or lost its
        router for good; the log says why.

        Args:
            url, realm, host, port, insecure, **connection: as for `start`.
            log_level: how much is logged, unless the program has configured logging itself.
        Raises:
            RuntimeError: an event loop runs already; `start` and `running` are for that.
            SystemExit: with code 1.
        """
        from rocade.app.process import run

        async def start() -> None:
            if url is not None:
                logger.info("joining %s, realm %s", url, realm)
                if self.http.files:
                    logger.warning("app.http.serve has no effect with a URL: have that router serve the files")
            await self.start(url, realm, host=host, port=port, insecure=insecure, **connection)

        run(self, start, log_level)


def _counts(procedures: Sized, subscriptions: Sized) -> str:
    counted = [(len(procedures), "procedure"), (len(subscriptions), "subscription")]
    return ", ".join(f"{count} {noun}{'' if count == 1 else 's'}" for count, noun in counted)
