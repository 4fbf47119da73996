"""The process that an application under development runs in: `python -m rocade.app.dev.child DESCRIPTOR`.

It is started before it is needed, with all of Rocade imported. Then it does what it is told over a socket, in lines
of JSON: load the application, begin, stop. The end of the socket, which is the end of its parent, stops it as well.
"""

from __future__ import annotations

import asyncio
import importlib
import signal
import socket
import sys
import traceback
from types import TracebackType
from typing import Any

import msgspec

from rocade.app import target as targets
from rocade.app.application import Application
from rocade.app.process import loading, told
from rocade.errors import ConfigurationError, RocadeError
from rocade.serve.logs import configure_logging
from rocade.serve.loop import loop_factory

__all__ = ["main"]


class Control:
    """The socket to the parent."""

    def __init__(self, descriptor: int) -> None:
        """
        Args:
            descriptor: of the socket, which was inherited.
        """
        self._socket = socket.socket(fileno=descriptor)
        self._lines = self._socket.makefile("rb")

    def tell(self, event: str, **more: Any) -> None:
        """Say how far it is."""
        self._socket.sendall(msgspec.json.encode({"event": event, **more}) + b"\n")

    def order(self) -> dict[str, Any] | None:
        """Wait for the next order; None when there will be none."""
        line = self._lines.readline()
        return msgspec.json.decode(line) if line else None

    def when_told(self, stop: asyncio.Event) -> None:
        """Set an event when the next order comes, which is to stop, or the parent is gone."""
        loop = asyncio.get_running_loop()

        def told() -> None:
            loop.remove_reader(self._socket.fileno())
            stop.set()

        loop.add_reader(self._socket.fileno(), told)


def main() -> int:
    """Run until told to stop; returns the exit code."""
    # Ctrl-C is for the whole group of processes; the parent decides in which order they end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    control = Control(int(sys.argv[1]))
    _prepare()
    order = control.order()
    if order is None:
        return 0
    configure_logging(order["log_level"])
    target = order["target"]
    sys.argv = [target]
    # What has changed twice within a second would otherwise be taken for what was compiled first.
    sys.dont_write_bytecode = True
    try:
        application = _load(target)
    except targets.NoSuchModule as error:
        control.tell("missing", error=error.message)
        return 1
    if application is None:
        return 1
    control.tell("loaded", files=application.http.files)
    if control.order() is None:
        return 0
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        return runner.run(_serve(application, order, control))


def _prepare() -> None:
    """Import what an application will need, while nobody waits."""
    import rocade.app.running
    import rocade.client.connect  # noqa: F401

    loop_factory()


def _load(target: str) -> Application | None:
    try:
        with loading(target):
            return targets.load(target)
    except targets.NoSuchModule:
        raise
    except ConfigurationError as error:
        print(f"rocade: {error}", file=sys.stderr)
    except SystemExit as end:
        print(f"rocade: {target} ended with {end!r} while it was loaded", file=sys.stderr)
    except BaseException as error:
        traceback.print_exception(type(error), error, _of_the_user(error.__traceback__))
    return None


def _of_the_user(trace: TracebackType | None) -> TracebackType | None:
    """A traceback without the frames that belong to the import. Of a syntax error, nothing is left."""
    while trace is not None:
        name = trace.tb_frame.f_code.co_filename
        if not name.startswith("<frozen importlib") and name not in (__file__, targets.__file__, importlib.__file__):
            return trace
        trace = trace.tb_next
    return None


async def _serve(application: Application, order: dict[str, Any], control: Control) -> int:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    control.when_told(stop)
    try:
        # A session that is lost here is lost with its process: nobody would resume it.
        await application.start(order["url"], order["realm"], tells_callers=order["tells_callers"], resumable=False)
    except RocadeError as error:
        print(f"rocade: {told(error)}", file=sys.stderr)
        return 1
    except Exception as error:
        traceback.print_exception(error)
        return 1
    control.tell("ready")
    await stop.wait()
    await application.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
