"""What waits to be sent to one client: in order, in one write per batch, and bounded."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from tests.serve.scene import HEADER, WIRES, Client, FakeLink, open_gateway, settle

from rocade.serve import blocks
from rocade.serve.flushing import Flusher
from rocade.serve.outbox import Outbox


def numbered(*numbers: int) -> list[bytes]:
    return [b"%d" % number for number in numbers]


@pytest.fixture
def link() -> FakeLink:
    return FakeLink()


def open_outbox(link: FakeLink, limit: int = 2**20) -> Outbox:
    return Outbox(link, Flusher(), limit)


def put(outbox: Outbox, *frames: bytes) -> None:
    for frame in frames:
        outbox.put(frame)


# --- Batches ------------------------------------------------------------------------------------------


async def test_what_is_put_in_while_the_loop_is_busy_goes_out_as_one_write(link: FakeLink) -> None:
    outbox = open_outbox(link)

    put(outbox, *numbered(1, 2, 3))
    assert link.writes == []
    await settle()
    put(outbox, *numbered(4, 5))
    await settle()

    assert link.writes == [numbered(1, 2, 3), numbered(4, 5)]


async def test_the_answers_to_one_read_are_one_write() -> None:
    gateway = open_gateway()
    client = Client(gateway)
    client.join()
    before = len(client.link.writes)

    for number in range(10):
        client.subscribe(f"com.topic{number}")
    await settle()

    assert [len(batch) for batch in client.link.writes[before:]] == [10]


async def test_nothing_is_delivered_from_within_put(link: FakeLink) -> None:
    outbox = open_outbox(link)

    outbox.put(b"1")

    assert link.writes == []
    await settle()
    assert link.writes == [[b"1"]]


async def test_a_flush_with_nothing_to_send_writes_nothing(link: FakeLink) -> None:
    outbox = open_outbox(link)

    outbox.flush()

    assert link.writes == []


# --- Pause and resume ---------------------------------------------------------------------------------


async def test_what_comes_during_a_pause_waits_and_keeps_its_order(link: FakeLink) -> None:
    outbox = open_outbox(link)
    put(outbox, b"1")
    outbox.pause()
    await settle()
    put(outbox, *numbered(2, 3))
    await settle()
    assert link.writes == []

    outbox.resume()
    put(outbox, b"4")
    await settle()
    put(outbox, b"5")
    await settle()

    assert link.frames == numbered(1, 2, 3, 4, 5)


async def test_pauses_at_any_moment_lose_nothing_and_keep_the_order(link: FakeLink) -> None:
    outbox = open_outbox(link)
    for number in range(100):
        put(outbox, b"%d" % number)
        if number % 3 == 0:
            outbox.pause()
        if number % 4 == 0:
            outbox.resume()
        if number % 5 == 0:
            await settle()
    outbox.resume()
    await settle()

    assert link.frames == numbered(*range(100))


async def test_a_backlog_is_handed_over_in_slices_so_that_the_link_can_stop_it(
    link: FakeLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 9)
    outbox = open_outbox(link)
    outbox.pause()
    put(outbox, *[b"12345"] * 7)

    outbox.resume()
    assert [len(batch) for batch in link.writes] == [2]
    outbox.pause()  # the link is full, which it tells between two writes
    await settle()
    assert [len(batch) for batch in link.writes] == [2]
    outbox.resume()
    await settle()

    assert [len(batch) for batch in link.writes] == [2, 2, 2, 1]


async def test_what_is_put_in_between_two_slices_comes_after_the_backlog(
    link: FakeLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 1)
    outbox = open_outbox(link)
    outbox.pause()
    put(outbox, *numbered(1, 2, 3, 4, 5))

    outbox.resume()
    put(outbox, b"6")
    await settle()
    put(outbox, b"7")
    await settle()

    assert link.frames == numbered(1, 2, 3, 4, 5, 6, 7)


# --- The bound ----------------------------------------------------------------------------------------


async def test_a_client_that_reads_too_slowly_is_disconnected_with_a_line_in_the_log(
    link: FakeLink, caplog: pytest.LogCaptureFixture
) -> None:
    outbox = open_outbox(link, limit=10)
    outbox.pause()
    put(outbox, b"12345", b"67890")
    assert not link.is_aborted

    outbox.put(b"!")

    assert link.is_aborted
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "slow consumer, with more than 10 bytes" in caplog.text
    assert len(outbox._waiting) == 0
    outbox.put(b"more")
    outbox.resume()
    await settle()
    assert link.writes == []


async def test_what_has_been_handed_over_does_not_count_for_the_bound(link: FakeLink) -> None:
    outbox = open_outbox(link, limit=10)

    for _ in range(10):
        put(outbox, b"1234567890")
        await settle()
    outbox.pause()
    put(outbox, b"12345")
    outbox.resume()
    outbox.pause()
    put(outbox, b"1234567890")

    assert not link.is_aborted
    outbox.resume()
    await settle()
    assert len(link.frames) == 12


async def test_the_others_are_not_disturbed_when_a_slow_consumer_is_disconnected() -> None:
    gateway = open_gateway(max_outbox_bytes=3000)
    publisher, slow, quick = (Client(gateway) for _ in range(3))
    for client in (publisher, slow, quick):
        client.join()
    for client in (slow, quick):
        client.subscribe("com.topic")
        client.take()
    slow.connection.writing_paused()

    for number in range(10):
        publisher.publish("com.topic", number, "x" * 500)
        await settle()

    assert slow.link.is_aborted
    assert slow.take() == []
    assert [quick.args(event)[0] for event in quick.take()] == list(range(10))
    slow.link.lose("aborted")
    publisher.publish("com.topic", 10)
    assert len(quick.take()) == 1
    assert len(gateway.realms["realm1"].sessions) == 2


async def test_a_closed_outbox_keeps_nothing(link: FakeLink) -> None:
    outbox = open_outbox(link)
    put(outbox, b"1")

    outbox.close()
    put(outbox, b"2")
    await settle()

    assert link.writes == []


# --- The peer's limit ---------------------------------------------------------------------------------


async def test_the_limit_of_the_peer_is_for_the_message_and_not_for_its_frame() -> None:
    link = FakeLink(max_send_bytes=512)

    assert open_outbox(link).max_send_bytes == 512 + len(HEADER)


async def test_one_link_is_not_kept_from_its_write_by_the_pause_of_another() -> None:
    flusher = Flusher()
    links = [FakeLink(WIRES["json"]) for _ in range(3)]
    outboxes: Sequence[Outbox] = [Outbox(link, flusher) for link in links]
    for outbox in outboxes:
        outbox.put(b"1")

    outboxes[0].pause()
    await settle()

    assert [link.frames for link in links] == [[], [b"1"], [b"1"]]
