"""Decorated functions keep their types. Not run: checked by mypy, which also complains where no complaint is needed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, assert_type

from rocade import Application, CallDetails, EventDetails, Router, Session
from rocade.testing import running

app = Application("demo")


@app.register
def bare(name: str, times: int = 1) -> str:
    return name * times


@app.register()
def called(name: str) -> str:
    return name


@app.register("demo.uuid", invoke="roundrobin", concurrency=10, limit_calls=3, timeout=1.5)
async def get_uuid(details: CallDetails, *, upper: bool = False) -> bytes:
    return b""


@app.register("demo.count", match="prefix")
async def count(to: int) -> AsyncIterator[int]:
    yield to


@app.subscribe
async def topic(text: str) -> None: ...


@app.subscribe("demo.ping", match="prefix", limit_calls=3, debounce=0.5)
async def on_ping(event: EventDetails, who: str) -> None: ...


@app.signal("onjoined")
async def joined(session: Session) -> int:
    return session.id


@app.on("app.ready")
def ready() -> float:
    return 1.0


assert_type(bare("a", times=2), str)
assert_type(called("a"), str)
assert_type(ready(), float)

a_coroutine_function: Callable[[CallDetails], Coroutine[Any, Any, bytes]] = get_uuid
a_generator_function: Callable[[int], AsyncIterator[int]] = count
a_listener: Callable[[EventDetails, str], Coroutine[Any, Any, None]] = on_ping
another: Callable[[str], Coroutine[Any, Any, None]] = topic

bare(1)  # type: ignore[arg-type]
called()  # type: ignore[call-arg]

app.register("demo.x", invoke="all")  # type: ignore[call-overload]
app.register("demo.x", limit_calls="3")  # type: ignore[call-overload]
app.subscribe("demo.x", match="suffix")  # type: ignore[call-overload]
app.subscribe("demo.x", invoke="first")  # type: ignore[call-overload]
app.signal("onjoin")  # type: ignore[arg-type]


async def use(details: CallDetails, session: Session) -> None:
    assert_type(await get_uuid(details, upper=True), bytes)
    assert_type(await joined(session), int)
    assert_type(app.session, Session)
    assert_type(await app.call("demo.uuid", timeout=1.0), Any)
    assert_type(await app.publish("demo.ping", "ada"), int | None)
    assert_type(app.blocking.publish("demo.ping", "ada"), int | None)
    app.call("demo.uuid", timeout="soon")  # type: ignore[arg-type, unused-coroutine]
    async with app.running("ws://127.0.0.1:8080/ws") as same:
        assert_type(same, Application)
    async with running(app) as client:
        assert_type(client, Session)
    async with Router() as router, router.connect() as other:
        assert_type(other, Session)
