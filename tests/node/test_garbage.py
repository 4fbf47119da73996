"""However many objects there are, no collection looks at all of them; and garbage is collected all the same."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from rocade.node import garbage
from rocade.node.garbage import Collections


class Thing:
    """Something that may refer to itself."""

    me: Thing


@pytest.fixture
def clock() -> list[float]:
    return [0.0]


@pytest.fixture
def _collections(clock: list[float]) -> Iterator[None]:
    """No collection by itself, and all is as before in the end."""
    collections = Collections(lambda: clock[0])
    gc.collect()
    gc.disable()
    gc.callbacks.append(collections)
    yield
    gc.callbacks.remove(collections)
    gc.unfreeze()
    gc.enable()


def in_circles() -> tuple[Thing, weakref.ref[Thing]]:
    thing = Thing()
    thing.me = thing
    return thing, weakref.ref(thing)


@pytest.mark.usefixtures("_collections")
def test_what_has_survived_a_long_collection_is_not_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    before = gc.get_freeze_count()
    monkeypatch.setattr(garbage, "LONG_SECONDS", 1000.0)
    gc.collect()
    assert gc.get_freeze_count() == before
    monkeypatch.setattr(garbage, "LONG_SECONDS", 0.0)

    gc.collect(1)
    assert gc.get_freeze_count() == before
    gc.collect()
    assert gc.get_freeze_count() > before
    assert len(gc.get_objects()) < 1000


@pytest.mark.usefixtures("_collections")
def test_what_is_new_is_still_collected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(garbage, "LONG_SECONDS", 0.0)
    gc.collect()

    thing, reference = in_circles()
    del thing
    gc.collect()

    assert reference() is None


@pytest.mark.usefixtures("_collections")
def test_what_becomes_garbage_later_is_collected_within_an_hour(
    clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(garbage, "LONG_SECONDS", 0.0)
    thing, reference = in_circles()
    gc.collect()
    del thing

    gc.collect()
    assert reference() is not None
    clock[0] += 3601
    gc.collect()
    assert reference() is None
    gc.collect()
    assert len(gc.get_objects()) < 1000
