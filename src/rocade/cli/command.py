"""A command that is run for each call of a procedure."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from rocade.cli.connecting import SECRET
from rocade.cli.payload import json_line, parse_value
from rocade.client.details import CallDetails
from rocade.errors import ApplicationError, CallTimeout, InvalidArgument, PayloadTooLarge

__all__ = ["Command"]

FAILED = "rocade.error.command_failed"
"""Error URI for an exit code that is not 0."""

MAX_OUTPUT = 16 * 1024 * 1024
"""Bytes of standard output: no message is longer."""
MAX_LINE = 4096
"""Bytes of the last line of standard error that a caller gets."""
KILL_AFTER = 3.0
"""Seconds that a command has to end when it is told to."""


class Command:
    """A command, run at most so many times at the same time."""

    def __init__(
        self, words: Sequence[str], *, appends: bool, raw: bool, timeout: float | None, concurrency: int
    ) -> None:
        """
        Args:
            words: the command and its arguments.
            appends: whether the positional arguments of a call are appended to it.
            raw: whether its output is text, whatever it looks like.
            timeout: seconds that it may run.
            concurrency: how many times at the same time, for routers that do not know that option.
        """
        self._words = tuple(words)
        self._appends = appends
        self._raw = raw
        self._timeout = timeout
        self._turns = asyncio.Semaphore(concurrency)

    async def run(self, call: CallDetails, /, *args: Any, **kwargs: Any) -> Any:
        """Run it for a call.

        Returns:
            What it writes to standard output, None if that is nothing.
        Raises:
            ApplicationError: its exit code is not 0.
            InvalidArgument: an argument cannot be appended to it.
            CallTimeout: it has run for too long.
            PayloadTooLarge: it writes more than a message can be long.
        """
        words = [*self._words, *self._appended(args)] if self._appends else self._words
        given = json_line({"args": args, "kwargs": kwargs}).encode() + b"\n"
        async with self._turns:
            try:
                async with asyncio.timeout(self._timeout):
                    output = await self._output(words, given, _environment(call))
            except TimeoutError:
                raise CallTimeout(f"the command has run for more than {self._timeout:g} s") from None
        if not output:
            return None
        text = output.decode(errors="replace")
        text = text.removesuffix("\n").removesuffix("\r")
        return text if self._raw else parse_value(text)

    def _appended(self, args: Sequence[Any]) -> list[str]:
        words = [each if isinstance(each, str) else json_line(each) for each in args]
        for number, word in enumerate(words, 1):
            if "\0" in word:
                raise InvalidArgument(f"argument {number} has a null character in it")
            # What strangers send must not become an option: that of many a command runs another one.
            if isinstance(args[number - 1], str) and word.startswith("-") and self._words[-1] != "--":
                raise InvalidArgument(f"argument {number} begins with a dash")
        return words

    async def _output(self, words: Sequence[str], given: bytes, environment: dict[str, str]) -> bytes:
        process = await asyncio.create_subprocess_exec(
            *words,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=environment,
            start_new_session=True,  # Ctrl-C is for us; we end the command, and all that it has started
        )
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_feed(process.stdin, given))
                output = group.create_task(_read(process.stdout))
                line = group.create_task(_last_line(process.stderr))
            code = await process.wait()
        except* PayloadTooLarge as errors:
            raise errors.exceptions[0] from None
        finally:
            if process.returncode is None:
                await _end(process)
        if code:
            ended = f"exit code {code}" if code > 0 else f"ended by signal {-code}"
            raise ApplicationError(FAILED, line.result() or ended, exit_code=code)
        return output.result()


def _environment(call: CallDetails) -> dict[str, str]:
    """Ours, without the secret, and with what is known of the call."""
    known = {
        "ROCADE_PROCEDURE": call.procedure,
        "ROCADE_CALLER": call.caller,
        "ROCADE_CALLER_AUTHID": call.caller_authid,
        "ROCADE_CALLER_AUTHROLE": call.caller_authrole,
    }
    own = {name: value for name, value in os.environ.items() if name != SECRET and name not in known}
    return own | {name: str(value).replace("\0", "") for name, value in known.items() if value is not None}


async def _feed(stdin: asyncio.StreamWriter, given: bytes) -> None:
    with suppress(BrokenPipeError, ConnectionResetError):  # not every command reads it
        stdin.write(given)
        await stdin.drain()
    stdin.close()
    with suppress(BrokenPipeError, ConnectionResetError):
        await stdin.wait_closed()


async def _read(stdout: asyncio.StreamReader) -> bytes:
    parts: list[bytes] = []
    size = 0
    while part := await stdout.read(65536):
        parts.append(part)
        size += len(part)
        if size > MAX_OUTPUT:
            raise PayloadTooLarge(f"the command has written more than {MAX_OUTPUT} bytes")
    return b"".join(parts)


async def _last_line(stderr: asyncio.StreamReader) -> str:
    """The last line that has something in it; all of them are shown here."""
    last = b""
    while part := await stderr.read(65536):
        sys.stderr.buffer.write(part)
        sys.stderr.buffer.flush()
        last = (last + part)[-2 * MAX_LINE :]
    lines = last.decode(errors="replace").split("\n")
    return next((line.strip()[:MAX_LINE] for line in reversed(lines) if line.strip()), "")


async def _end(process: asyncio.subprocess.Process) -> None:
    """End it and what it has started."""
    for number, patience in ((signal.SIGTERM, KILL_AFTER), (signal.SIGKILL, None)):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        try:
            async with asyncio.timeout(patience):
                await process.wait()
                return
        except TimeoutError:
            continue
