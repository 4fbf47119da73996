"""The processes that look through long messages: what they find, what they may cost, and what is done without them."""

from __future__ import annotations

import asyncio
import logging
import os
import select
import signal
import socket
import subprocess
import sys
from typing import Any

import msgspec
import pytest
from tests.conformance.waiting import TIMEOUT

from rocade.errors import CheckFailed, InvalidMessage, NotUtf8, PayloadNotSerializable
from rocade.serve import checking
from rocade.serve.checking import Worker
from rocade.serve.checking_process import PREFIX_BYTES, READY, Request
from rocade.wamp.codec import CBOR, JSON, MSGPACK, Serializer
from rocade.wamp.messages import Publish

EMPTY_LISTS = 16 * 1024 * 1024 - 100
HOSTILE = b"\x95\x10\x01\x80\xa3a.b\xdd" + EMPTY_LISTS.to_bytes(4, "big") + b"\x90" * EMPTY_LISTS
"""[PUBLISH, 1, {}, "a.b", [[], [], …]] in MessagePack: 1.4 GiB of Python's lists."""


async def checked(worker: Worker, data: bytes, serializer: Serializer) -> Any:
    """What comes of a message."""
    result: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    worker.check(data, serializer, result.set_result)
    async with asyncio.timeout(TIMEOUT):
        return await result


async def translated(worker: Worker, payload: Any, origin: Serializer, target: Serializer) -> Any:
    """What comes of arguments."""
    result: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    worker.translate(origin.dump(payload), b"", origin, target, result.set_result)
    async with asyncio.timeout(TIMEOUT):
        return await result


@pytest.mark.parametrize("serializer", [JSON, MSGPACK, CBOR], ids=repr)
async def test_a_message_comes_back_as_it_is_decoded_here(serializer: Serializer) -> None:
    worker = Worker("checking")
    data = serializer.encode_array((16, 1, {"acknowledge": True}, "a.b", ["x" * 1000, 1], {"key": [None, 1.5]}))

    message = await checked(worker, data, serializer)

    assert type(message) is Publish
    assert message == serializer.decode(data)
    worker.close()


@pytest.mark.parametrize("serializer", [JSON, MSGPACK, CBOR], ids=repr)
async def test_what_is_wrong_is_told_as_it_is_told_here(serializer: Serializer) -> None:
    worker = Worker("checking")
    data = serializer.encode_array((16, 1, {}, "a.b", "no list"))

    result = await checked(worker, data, serializer)

    assert type(result) is InvalidMessage
    with pytest.raises(InvalidMessage) as caught:
        serializer.decode(data)
    assert str(result) == str(caught.value)
    worker.close()


async def test_text_that_is_none_is_told_apart() -> None:
    worker = Worker("checking")

    assert type(await checked(worker, b'[16,1,{},"a.b",["\xff"]]', JSON)) is NotUtf8
    worker.close()


async def test_a_payload_is_translated_and_what_has_no_form_is_told() -> None:
    worker = Worker("translating")

    args, kwargs = await translated(worker, ["text", b"binary", {"a": [1, None]}], CBOR, JSON)
    failure = await translated(worker, [{(1, 2): 3}], CBOR, JSON)

    assert (JSON.load(bytes(args)), bytes(kwargs)) == (["text", b"binary", {"a": [1, None]}], b"")
    assert type(failure) is PayloadNotSerializable
    worker.close()


async def test_one_process_does_it_all_in_order() -> None:
    worker = Worker("checking")
    results: list[Any] = []
    finished = asyncio.Event()

    def done(message: Any) -> None:
        results.append(message.request)
        if len(results) == 50:
            finished.set()

    for request in range(1, 51):
        worker.check(JSON.encode_array((16, request, {}, "a.b")), JSON, done)
    async with asyncio.timeout(TIMEOUT):
        await finished.wait()

    assert results == list(range(1, 51))
    assert worker.backlog == 0
    worker.close()


async def test_nobody_is_told_of_what_nobody_wants_any_more() -> None:
    worker = Worker("checking")
    results: list[Any] = []

    job = worker.check(JSON.encode_array((16, 1, {}, "a.b")), JSON, results.append)
    job.cancel()

    assert (await checked(worker, JSON.encode_array((16, 2, {}, "a.b")), JSON)).request == 2
    assert results == []
    assert worker.backlog == 0
    worker.close()


async def test_too_much_memory_fails_only_that_message() -> None:
    worker = Worker("checking", memory_limit=512 * 1024 * 1024)

    result = await checked(worker, HOSTILE, MSGPACK)

    assert type(result) is CheckFailed
    assert result.uri == "wamp.error.payload_size_exceeded"
    assert "takes more than 512 MiB of memory" in str(result)
    assert (await checked(worker, JSON.encode_array((16, 2, {}, "a.b")), JSON)).request == 2
    worker.close()


async def test_too_much_time_fails_only_that_message(caplog: pytest.LogCaptureFixture) -> None:
    worker = Worker("checking", time_limit=0.5)
    await checked(worker, JSON.encode_array((16, 1, {}, "a.b")), JSON)
    first = worker.pid
    assert first is not None
    os.kill(first, signal.SIGSTOP)  # as if it took for ever

    result = await checked(worker, JSON.encode_array((16, 2, {}, "a.b")), JSON)

    assert type(result) is CheckFailed
    assert "takes more than 0.5 s" in str(result)
    assert f"killed the checking process {first}" in caplog.text
    patient = Worker("checking")
    assert (await checked(patient, JSON.encode_array((16, 3, {}, "a.b")), JSON)).request == 3
    patient.close()
    worker.close()


async def test_without_a_process_it_is_done_here_and_said_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    caplog.set_level(logging.WARNING)
    worker = Worker("checking")

    results = [await checked(worker, JSON.encode_array((16, number, {}, "a.b")), JSON) for number in (1, 2)]
    failure = await checked(worker, b"[16", JSON)

    assert [message.request for message in results] == [1, 2]
    assert type(failure) is InvalidMessage
    assert [record.getMessage().partition(" (")[0] for record in caplog.records] == [
        "no checking process can be started"
    ]
    worker.close()


async def test_a_caller_is_called_back_when_there_is_less_to_do() -> None:
    worker = Worker("translating")
    happened: list[str] = []
    data = msgspec.msgpack.encode(["x" * 1000])

    worker.translate(data, b"", MSGPACK, JSON, lambda _: happened.append("done"))
    worker.call_below(100, lambda: happened.append("calm"))
    worker.call_below(10_000, lambda: happened.append("calm enough"))
    await translated(worker, [], MSGPACK, JSON)

    assert happened == ["calm enough", "done", "calm"]
    worker.close()


async def test_an_answer_that_makes_no_sense_fails_its_message_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    program = (
        "import sys; sys.path[:] = sys.argv[2:]; from rocade.serve import checking_process as it; "
        "it.carry_out = lambda request, parts: (it.Reply(it.DONE, head=b'nonsense', sizes=[]), []); "
        "it.main(int(sys.argv[1]))"
    )
    worker, data = Worker("checking"), JSON.encode_array((16, 1, {}, "a.b", ["x"]))
    with monkeypatch.context() as patched:
        patched.setattr(checking, "_PROGRAM", program)
        outcome = await checked(worker, data, JSON)
    assert isinstance(outcome, CheckFailed)
    assert worker.backlog == 0

    assert type(await checked(worker, data, JSON)) is Publish
    worker.close()


def test_a_process_whose_answer_nobody_reads_any_more_ends_without_a_word() -> None:
    ours, theirs = socket.socketpair()
    program = "from rocade.serve.checking_process import main; main(2 ** 40)"
    with ours, theirs:
        process = subprocess.Popen([sys.executable, "-c", program], stdin=theirs, stderr=subprocess.PIPE)
        ours.settimeout(TIMEOUT)
        assert ours.recv(1) == READY
        data = JSON.encode_array((16, 1, {}, "a.b", ["x"]))
        request = msgspec.msgpack.encode(Request("json", "", [len(data)]))
        ours.sendall(len(request).to_bytes(PREFIX_BYTES, "big") + request + data)
        assert select.select([ours], [], [], TIMEOUT)[0]

    _, said = process.communicate(timeout=TIMEOUT)

    assert (process.returncode, said) == (0, b"")
