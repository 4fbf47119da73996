"""How what was read is handed on: in order, in turns, and not to who has paused."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from tests.net.conftest import Run

from rocade.net import reading as module
from rocade.net.reading import Reading

MESSAGES = [b"%d" % number for number in range(10)]


class Connection:
    """Reads, and remembers what it was told."""

    def __init__(self) -> None:
        self.reading = Reading(asyncio.get_running_loop(), self)
        self.reading.begin(self)
        self.got: list[Any] = []
        self.is_reading = True
        self.is_broken = False
        self.hook: Callable[[Any], None] = lambda _item: None

    def open(self) -> None:
        self.reading.open(self.take)

    def take(self, item: Any) -> None:
        self.got.append(item)
        self.hook(item)

    def read(self, messages: list[bytes]) -> None:
        for message in messages:
            self.reading.deliver(message)

    def read_much(self, messages: list[bytes]) -> None:
        self.reading.begin_turn()
        self.read(messages)
        self.reading.end_turn()

    # As a source.

    def pause_reading(self) -> None:
        assert self.is_reading
        self.is_reading = False

    def resume_reading(self) -> None:
        assert not self.is_reading
        self.is_reading = True

    # As a reader.

    def handle_held(self, item: Any) -> None:
        if isinstance(item, bytes):
            self.take(item)
        else:
            self.reading.handle_all(item, self.take)

    def broken(self) -> None:
        self.is_broken = True
        self.reading.stop()


async def rounds(count: int = 1) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def test_what_comes_before_anybody_wants_it_is_thrown_away(run: Run) -> None:
    async def main() -> None:
        connection = Connection()
        connection.read_much([b"early"])
        connection.open()
        connection.read([b"late"])
        assert connection.got == [b"late"]

    run(main())


def test_what_is_read_during_a_pause_comes_first_and_not_within_resume(run: Run) -> None:
    async def main() -> None:
        connection = Connection()
        connection.open()
        connection.reading.pause()
        connection.read(MESSAGES[:5])
        assert not connection.is_reading
        connection.reading.resume()
        connection.read(MESSAGES[5:8])
        assert connection.got == []
        await rounds()
        connection.read(MESSAGES[8:])
        assert connection.got == MESSAGES
        assert connection.is_reading

    run(main())


def test_a_receiver_that_pauses_as_soon_as_it_is_there_gets_nothing(run: Run) -> None:
    async def main() -> None:
        connection = Connection()
        connection.reading.pause()
        connection.open()
        connection.read(MESSAGES)
        await rounds(3)
        assert connection.got == []
        connection.reading.resume()
        await rounds()
        assert connection.got == MESSAGES

    run(main())


@pytest.mark.parametrize("way", ["messages", "found when asked for"])
def test_others_have_their_turn_in_the_middle_of_a_large_read(
    run: Run, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TURN_SECONDS", 0.0)

    async def main() -> None:
        connection = Connection()
        connection.open()
        loop = asyncio.get_running_loop()
        connection.hook = lambda item: loop.call_soon(connection.got.append, f"other {item.decode()}")
        if way == "messages":
            connection.read_much(MESSAGES)
        else:
            connection.reading.handle_all(iter(MESSAGES), connection.take)
        assert len(connection.got) == 1
        assert not connection.is_reading
        await rounds(len(MESSAGES) + 1)
        assert connection.got == [item for message in MESSAGES for item in (message, f"other {message.decode()}")]
        assert connection.is_reading

    run(main())


@pytest.mark.parametrize("way", ["messages", "found when asked for"])
def test_a_pause_in_the_middle_of_a_read_keeps_the_rest(run: Run, way: str) -> None:
    async def main() -> None:
        connection = Connection()
        connection.open()
        connection.hook = lambda item: connection.reading.pause() if item == b"3" else None
        if way == "messages":
            connection.read_much(MESSAGES)
        else:
            connection.reading.handle_all(iter(MESSAGES), connection.take)
        await rounds(3)
        assert connection.got == MESSAGES[:4]
        connection.reading.resume()
        await rounds(3)
        assert connection.got == MESSAGES

    run(main())


@pytest.mark.parametrize("way", ["messages", "found when asked for", "what had to wait"])
@pytest.mark.parametrize("end", ["stop", "end"])
def test_nothing_is_delivered_after_the_end_whenever_it_comes(run: Run, way: str, end: str) -> None:
    async def main() -> None:
        connection = Connection()
        connection.open()
        connection.hook = lambda item: getattr(connection.reading, end)() if item == b"3" else None
        if way == "messages":
            connection.read_much(MESSAGES)
        elif way == "found when asked for":
            connection.reading.handle_all(iter(MESSAGES), connection.take)
        else:
            connection.reading.pause()
            connection.read(MESSAGES)
            connection.reading.resume()
        await rounds(3)
        connection.read_much([b"behind"])
        connection.reading.handle_all(iter(MESSAGES), connection.take)
        assert connection.got == MESSAGES[:4]
        assert connection.reading.held is None

    run(main())


def test_who_wants_nothing_any_more_goes_on_reading_and_who_is_gone_does_not(run: Run) -> None:
    async def main() -> None:
        for end, is_reading in (("stop", True), ("end", False)):
            connection = Connection()
            connection.open()
            connection.reading.pause()
            getattr(connection.reading, end)()
            await rounds()
            assert connection.is_reading is is_reading

    run(main())


def test_reading_goes_on_when_the_last_reason_not_to_is_gone(run: Run) -> None:
    async def main() -> None:
        connection = Connection()
        connection.open()
        connection.reading.pause()
        connection.reading.flood(True)
        connection.reading.flood(True)
        connection.reading.resume()
        await rounds()
        assert not connection.is_reading
        connection.reading.flood(False)
        assert connection.is_reading

    run(main())


def test_after_much_work_nothing_is_read_in_this_round(run: Run) -> None:
    async def main() -> None:
        connection = Connection()
        connection.open()
        connection.reading.worked(module.TURN_SECONDS * 0.6)
        assert connection.is_reading
        connection.reading.worked(module.TURN_SECONDS * 0.6)
        assert not connection.is_reading
        await rounds()
        assert connection.is_reading

    run(main())


def test_a_failure_at_what_had_to_wait_is_logged_and_told(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    def fail(_item: bytes) -> None:
        raise ZeroDivisionError

    async def main() -> None:
        connection = Connection()
        connection.open()
        connection.hook = fail
        connection.reading.pause()
        connection.read(MESSAGES)
        connection.reading.resume()
        await rounds(3)
        assert connection.is_broken
        assert connection.got == MESSAGES[:1]

    run(main())
    assert "could not be handled" in caplog.text


def test_what_had_to_wait_is_handled_at_the_end_in_a_last_turn(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TURN_SECONDS", 0.0)

    async def main() -> None:
        for seconds, handled in ((60.0, MESSAGES), (0.0, MESSAGES[:1])):
            monkeypatch.setattr(module, "LAST_TURN_SECONDS", seconds)
            connection = Connection()
            connection.open()
            connection.read_much(MESSAGES)
            connection.reading.finish()
            connection.reading.end()
            assert connection.got == handled

    run(main())


def test_a_receiver_that_has_paused_gets_nothing_at_the_end(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TURN_SECONDS", 0.0)
    monkeypatch.setattr(module, "LAST_TURN_SECONDS", 60.0)

    async def main() -> None:
        connection = Connection()
        connection.open()
        connection.hook = lambda item: connection.reading.pause() if item == b"3" else None
        connection.read_much(MESSAGES)
        connection.reading.finish()
        assert connection.got == MESSAGES[:4]
        connection.reading.finish()
        connection.reading.end()
        connection.reading.resume()
        await rounds(3)
        assert connection.got == MESSAGES[:4]

    run(main())
