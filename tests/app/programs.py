"""Programs of users, run as users run them."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType

from tests.conformance.waiting import TIMEOUT

SOURCE = Path(__file__).parents[2] / "src"


class Program:
    """A process, and what it says on standard output and standard error."""

    def __init__(self, *arguments: str | Path, directory: Path, own_group: bool = False, **environment: str) -> None:
        """Start it.

        Args:
            *arguments: of the Python interpreter.
            directory: where it runs.
            own_group: whether it is the first of a group of processes, see `signal_group`; nobody ends such a group
                when the tests are killed.
            **environment: more for its environment.
        """
        paths = [str(SOURCE), *filter(None, [os.environ.get("PYTHONPATH")])]
        self._process = subprocess.Popen(
            [sys.executable, "-u", *map(str, arguments)],
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=own_group,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "NO_COLOR": "1", **environment},
        )
        self._lines: list[str] = []
        self._news = threading.Condition()
        self._ended = False
        self._own_group = own_group
        # What the program has started may outlive it, and pytest is to end all the same.
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def text(self) -> str:
        """What it has said so far."""
        with self._news:
            return "".join(self._lines)

    @property
    def url(self) -> str:
        """Where its router is, which it has said."""
        self.wait_for("ws://")
        found = re.search(r"ws://[\w.:\[\]]+/ws", self.text)
        assert found is not None
        return found[0]

    def wait_for(self, text: str, count: int = 1) -> None:
        """Wait until it has said something, so many times.

        Raises:
            AssertionError: it has ended, or time is up.
        """
        with self._news:
            self._news.wait_for(lambda: self._ended or self._said(text) >= count, timeout=TIMEOUT)
            assert self._said(text) >= count, f"no {text!r} in:\n{''.join(self._lines)}"

    def _said(self, text: str) -> int:
        return "".join(self._lines).count(text)

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def signal_group(self, number: signal.Signals) -> None:
        """Send a signal to it and to its children, as a terminal does; it needs a group of its own."""
        os.killpg(self._process.pid, number)

    def wait(self) -> int:
        """Wait until it has ended; returns its exit code."""
        code = self._process.wait(TIMEOUT)
        self._reader.join(TIMEOUT)
        assert not self._reader.is_alive(), "it has ended, but a child of it has its standard output open"
        if self._process.stdout is not None:
            self._process.stdout.close()
        return code

    def stop(self) -> int:
        """End it in the orderly way; returns its exit code."""
        if self._process.poll() is None:
            self.signal(signal.SIGTERM)
        return self.wait()

    def kill(self) -> None:
        """End it at once, with its group if it has one."""
        if self._own_group:
            self.signal_group(signal.SIGKILL)
        else:
            self._process.kill()
        self.wait()

    def __enter__(self) -> Program:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            if kind is None:
                self.stop()
            else:
                self.kill()
        else:
            self.wait()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._news:
                self._lines.append(line.decode(errors="replace"))
                self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()
