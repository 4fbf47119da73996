"""Work that would hold the event loop, done by a process of its own: looking through long messages.

A worker has one process, started when there is something to do and ended when there has been nothing for a while. It
takes its jobs one after the other. A job whose process dies, or takes too long or too much memory, fails; the next one
gets a new process. Where no process can be started, the work is done here: correct, but the loop is held.
"""

from __future__ import annotations

import asyncio
import logging
import mmap
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from msgspec import msgpack

from rocade.errors import CheckFailed, InvalidMessage, NotUtf8, PayloadNotSerializable
from rocade.serve import checking_process as work
from rocade.serve.checking_process import PREFIX_BYTES, READY, Reply, Request
from rocade.wamp.codec import Serializer
from rocade.wamp.large import rejoined
from rocade.wamp.messages import Message

__all__ = ["Checked", "Job", "Translated", "Worker"]

TIME_LIMIT = 30.0
"""Seconds that one message may take. The worst of 16 MiB take about five."""

MEMORY_LIMIT = 2 * 1024 * 1024 * 1024
"""Bytes of address space that a process may take. Looking through the worst message of 16 MiB takes 1.4 GiB."""

START_LIMIT = 20.0
"""Seconds that a process may take to start."""

IDLE_LIMIT = 60.0
"""Seconds without work after which a process is ended."""

_PROGRAM = (
    "import sys; sys.path[:] = sys.argv[2:]; from rocade.serve.checking_process import main; main(int(sys.argv[1]))"
)
_SOURCE = str(Path(__file__).parents[2])

Checked = Message | InvalidMessage | CheckFailed
"""What comes of a message that was checked."""

Translated = tuple[Any, Any] | PayloadNotSerializable
"""What comes of `args` and `kwargs` that were translated: bytes-like."""

logger = logging.getLogger("rocade.checking")


class Job:
    """One piece of work.

    Attributes:
        request: what is to be done.
        parts: with these bytes.
        size: bytes of all parts.
    """

    __slots__ = ("done", "parts", "request", "size")

    def __init__(self, request: Request, parts: Sequence[Any], done: Callable[[Any], None]) -> None:
        """
        Args:
            request: what is to be done.
            parts: with these bytes.
            done: called with what has come of it, on the loop, never from within `Worker.check` or `translate`.
        """
        self.request = request
        self.parts = parts
        self.size = sum(request.sizes)
        self.done: Callable[[Any], None] | None = done

    def cancel(self) -> None:
        """Nobody wants the result any more."""
        self.done = None


class Worker:
    """A process, when there is one, and what it has to do.

    Attributes:
        backlog: bytes of all jobs that are not done.
    """

    def __init__(self, name: str, *, time_limit: float = TIME_LIMIT, memory_limit: int = MEMORY_LIMIT) -> None:
        """
        Args:
            name: for the log, such as "checking".
            time_limit: seconds that a job may take.
            memory_limit: bytes that the process may take.
        """
        self.backlog = 0
        self._name = name
        self._time_limit = time_limit
        self._memory_limit = memory_limit
        self._jobs: deque[Job] = deque()
        self._task: asyncio.Task[None] | None = None
        self._process: _Process | None = None
        self._idle: asyncio.TimerHandle | None = None
        self._has_complained = False
        # Those who wait until there is less to do: how much less, and whom to call.
        self._waiting: list[tuple[int, Callable[[], None]]] = []

    @property
    def pid(self) -> int | None:
        """The process, if there is one at the moment."""
        return None if self._process is None else self._process.pid

    def check(self, data: bytes | memoryview, serializer: Serializer, done: Callable[[Checked], None]) -> Job:
        """Decode a message.

        Args:
            data: the message.
            serializer: what it is in.
            done: called with the message, or with what is wrong with it.
        """
        return self._add(Job(Request(serializer.name, "", [len(data)]), (data,), done))

    def translate(
        self, args: Any, kwargs: Any, origin: Serializer, target: Serializer, done: Callable[[Translated], None]
    ) -> Job:
        """Put a payload into another serializer.

        Args:
            args, kwargs: raw, of `origin`; empty where there is none.
            origin: what they are in.
            target: what they are wanted in.
            done: called with both, or with why that cannot be.
        """
        return self._add(Job(Request(origin.name, target.name, [len(args), len(kwargs)]), (args, kwargs), done))

    def call_below(self, backlog: int, callback: Callable[[], None]) -> None:
        """Call back, later, when the backlog is below so many bytes."""
        if self.backlog < backlog:
            asyncio.get_running_loop().call_soon(callback)
        else:
            self._waiting.append((backlog, callback))

    def close(self) -> None:
        """End the process; jobs that are not done never will be."""
        self._jobs.clear()
        self._stop_idling()
        if self._task is not None:
            self._task.cancel()
        elif self._process is not None:
            self._process.end()
            self._process = None

    # --- jobs -------------------------------------------------------------------------------------

    def _add(self, job: Job) -> Job:
        self._stop_idling()
        self._jobs.append(job)
        self.backlog += job.size
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._work())
        return job

    async def _work(self) -> None:
        """Do all jobs, one after the other."""
        try:
            while self._jobs:
                job = self._jobs.popleft()
                if job.done is not None:
                    self._tell(job, await self._certain_result(job))
                self.backlog -= job.size
                self._wake_waiting()
            loop = asyncio.get_running_loop()
            self._idle = loop.call_later(IDLE_LIMIT, self._end_process)
        except asyncio.CancelledError:
            self._end_process()
        finally:
            self._task = None

    def _tell(self, job: Job, result: Any) -> None:
        if job.done is None:
            return
        try:
            job.done(result)
        except Exception:
            logger.exception("our fault, on the result of a %s process", self._name)

    def _wake_waiting(self) -> None:
        if self._waiting:
            due = [callback for backlog, callback in self._waiting if self.backlog < backlog]
            self._waiting = [waiting for waiting in self._waiting if self.backlog >= waiting[0]]
            for callback in due:
                callback()

    async def _certain_result(self, job: Job) -> Any:
        """What comes of a job, whatever happens: whoever waits for it is not read meanwhile."""
        try:
            return await self._result(job)
        except Exception:
            logger.exception("our fault, with a %s process", self._name)
            self._end_process()
            return _failed(job, "wamp.error.runtime_error", "the router failed on it")

    async def _result(self, job: Job) -> Any:
        try:
            process = await self._started()
        except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
            self._complain(error)
            reply, parts = work.carry_out(job.request, [bytes(part) for part in job.parts])
            return _result(job, reply, parts, self._memory_limit)
        try:
            async with asyncio.timeout(self._time_limit):
                reply, parts = await process.ask(job.request, job.parts)
        except TimeoutError:
            logger.warning("killed the %s process %d: more than %g s", self._name, process.pid, self._time_limit)
            self._end_process()
            return _failed(job, "wamp.error.payload_size_exceeded", f"it takes more than {self._time_limit:g} s")
        except (OSError, asyncio.IncompleteReadError, ValueError):
            logger.warning("the %s process %d is gone; the next long message gets a new one", self._name, process.pid)
            self._end_process()
            return _failed(job, "wamp.error.runtime_error", "the process that looked through it is gone")
        if reply.is_last:
            self._end_process()
        return _result(job, reply, parts, self._memory_limit)

    # --- the process ------------------------------------------------------------------------------

    async def _started(self) -> _Process:
        if self._process is not None and self._process.is_gone():
            self._end_process()
        if self._process is None:
            self._process = await _Process.start(self._memory_limit)
            logger.info("%s process %d started, for long messages", self._name, self._process.pid)
            self._has_complained = False
        return self._process

    def _complain(self, error: Exception) -> None:
        if not self._has_complained:
            self._has_complained = True
            logger.warning(
                "no %s process can be started (%s): long messages are looked through by the router itself, and hold "
                "everybody else up meanwhile; a lower max_message_size helps",
                self._name,
                error or type(error).__name__,
            )

    def _end_process(self) -> None:
        self._idle = None
        if self._process is not None:
            self._process.end()
            self._process = None

    def _stop_idling(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None


class _Process:
    """One process and the socket to it."""

    def __init__(self, process: subprocess.Popen[bytes], connection: socket.socket) -> None:
        self.pid = process.pid
        self._process = process
        self._connection = connection

    @classmethod
    async def start(cls, memory_limit: int) -> _Process:
        """A process that is ready.

        Raises:
            OSError, TimeoutError, asyncio.IncompleteReadError: there can be none.
        """
        if sys.platform == "win32":
            raise OSError("sockets cannot be handed to another process there")
        if not sys.executable:
            raise OSError("it is not known where Python is")
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-I", "-S", "-c", _PROGRAM, str(memory_limit), _SOURCE, *sys.path]
            try:
                # In a thread, since it waits until the new process has begun.
                process = await loop.run_in_executor(None, _spawn, command, theirs)
            except BaseException:
                ours.close()
                raise
        ours.setblocking(False)
        started = cls(process, ours)
        try:
            async with asyncio.timeout(START_LIMIT):
                await started._receive(len(READY))
        except BaseException:
            started.end()
            raise
        return started

    async def ask(self, request: Request, parts: Sequence[Any]) -> tuple[Reply, list[memoryview]]:
        """The reply to a request, and what follows it.

        Raises:
            OSError, asyncio.IncompleteReadError: the process is gone.
            ValueError: it talks nonsense.
        """
        loop = asyncio.get_running_loop()
        head = msgpack.encode(request)
        await loop.sock_sendall(self._connection, len(head).to_bytes(PREFIX_BYTES, "big") + head)
        for part in parts:
            if len(part):
                await loop.sock_sendall(self._connection, memoryview(part))
        size = int.from_bytes(await self._receive(PREFIX_BYTES), "big")
        reply = msgpack.decode(await self._receive(size), type=Reply)
        return reply, [await self._receive(size) for size in reply.sizes]

    async def _receive(self, size: int) -> memoryview:
        loop = asyncio.get_running_loop()
        # Pages are made as they are filled, instead of all at once.
        data = memoryview(
            mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) if size > _SLICE_BYTES else bytearray(size)
        )
        rest = data
        while rest:
            count = await loop.sock_recv_into(self._connection, rest[:_SLICE_BYTES])
            if count == 0:
                raise asyncio.IncompleteReadError(b"", size)
            rest = rest[count:]
        return data

    def is_gone(self) -> bool:
        """Whether it has ended by itself, or been killed."""
        return self._process.poll() is not None

    def end(self) -> None:
        """Kill it, if it has not gone by itself."""
        self._connection.close()
        self._process.kill()
        # It is dead, or as good as that, but has to be waited for.
        asyncio.get_running_loop().run_in_executor(None, self._process.wait)


_SLICE_BYTES = 256 * 1024


def _spawn(command: list[str], connection: socket.socket) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command, stdin=connection.fileno(), stdout=subprocess.DEVNULL)


def _result(job: Job, reply: Reply, parts: Sequence[Any], memory_limit: int) -> Any:
    """What comes of a job, from the reply to its request."""
    if reply.outcome == work.DONE:
        if job.request.target:
            return tuple(parts)
        if reply.spans:
            data = memoryview(job.parts[0])
            begin, end, kwargs_begin, kwargs_end = reply.spans
            return rejoined(reply.head, data[begin:end], data[kwargs_begin:kwargs_end])
        return rejoined(reply.head, *parts)
    if reply.outcome == work.INVALID:
        return InvalidMessage(reply.text)
    if reply.outcome == work.NOT_UTF8:
        return NotUtf8(reply.text)
    if reply.outcome == work.NOT_SERIALIZABLE:
        return PayloadNotSerializable(reply.text)
    if reply.outcome == work.TOO_MUCH:
        text = f"it takes more than {memory_limit >> 20} MiB of memory"
        return _failed(job, "wamp.error.payload_size_exceeded", text)
    logger.error("our fault, in a process for long messages: %s", reply.text)
    return _failed(job, "wamp.error.runtime_error", "the router failed on it")


def _failed(job: Job, uri: str, why: str) -> CheckFailed | PayloadNotSerializable:
    if job.request.target:
        error = PayloadNotSerializable(
            f"{job.size} bytes could not be translated from {job.request.origin} to {job.request.target}: {why}"
        )
        error.uri = uri
        return error
    return CheckFailed(uri, f"a message of {job.size} bytes could not be checked: {why}")
