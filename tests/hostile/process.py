"""A router in a process of its own, started as users start it."""

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


class RouterProcess:
    """`python -m rocade start`, and what it logs."""

    def __init__(self, *arguments: str, loop: str = "uvloop", shell: str = "") -> None:
        """Start it and wait until it is ready.

        Args:
            *arguments: of `rocade start`.
            loop: "uvloop" or "asyncio".
            shell: what a shell does first, such as "ulimit -n 64".
        """
        paths = [str(SOURCE), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "ROCADE_LOOP": loop, "NO_COLOR": "1"}
        command = [sys.executable, "-m", "rocade", "start", *arguments]
        self._process = subprocess.Popen(
            ["sh", "-c", f'{shell}; exec "$0" "$@"', *command] if shell else command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=environment,
        )
        self._lines: list[str] = []
        self._news = threading.Condition()
        self._ended = False
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        try:
            self.wait_for_log("ready")
        except BaseException:
            self.kill()
            raise
        found = re.search(r"(?:WebSocket|RawSocket) on \w+://127\.0\.0\.1:(\d+)", self.log)
        self.port = int(found[1]) if found else 0
        """The TCP port, 0 where it has none."""

    @property
    def pid(self) -> int:
        """The process' id."""
        return self._process.pid

    @property
    def log(self) -> str:
        """What it has logged so far."""
        with self._news:
            return "".join(self._lines)

    def wait_for_log(self, text: str) -> None:
        """Wait until it has logged something.

        Raises:
            AssertionError: it has ended, or time is up.
        """
        with self._news:
            found = self._news.wait_for(
                lambda: self._ended or any(text in line for line in self._lines), timeout=TIMEOUT
            )
            assert found, f"no {text!r} in:\n{''.join(self._lines)}"
            assert any(text in line for line in self._lines), f"ended without {text!r}:\n{''.join(self._lines)}"

    def is_alive(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    def rss(self) -> int:
        """Bytes of memory that it occupies."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def wait(self, timeout: float = TIMEOUT) -> int:
        """Wait until it has ended; returns its exit code."""
        code = self._process.wait(timeout)
        self._clean_up()
        return code

    def stop(self) -> None:
        """End it in the orderly way, if it still runs; it must have nothing to complain about."""
        if self.is_alive():
            self.signal(signal.SIGTERM)
        try:
            code = self.wait()
        except subprocess.TimeoutExpired:
            self.kill()
            raise
        assert code == 0, self.log
        assert "Traceback" not in self.log, self.log
        assert " ERROR " not in self.log, self.log

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()
        self._process.wait()
        self._clean_up()

    def __enter__(self) -> RouterProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None:
            self.stop()
        elif self.is_alive():
            self.kill()

    def _read(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            with self._news:
                self._lines.append(line.decode(errors="replace"))
                self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()

    def _clean_up(self) -> None:
        self._reader.join()
        if self._process.stderr is not None:
            self._process.stderr.close()
