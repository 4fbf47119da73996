"""Applications beside a router in the same process, as `rocade.testing` runs them."""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any, get_overloads

import httpx
import pytest

import rocade
from rocade import Application, ApplicationError, CallDetails, EventDetails, PublishOptions, Router, Session
from rocade.app.declarations import Procedure, Subscription
from rocade.errors import CallTimeout, InvalidArgument, NoSuchProcedure
from rocade.testing import VirtualClock, running


@pytest.fixture
def app() -> Application:
    return Application("demo")


# --- names ----------------------------------------------------------------------------------------


async def test_names_are_derived_from_the_application_and_the_function(app: Application) -> None:
    @app.register()
    def ip() -> str:
        return "192.0.2.1"

    @app.register
    async def port() -> int:
        return 8080

    @app.register("org.example.uuid")
    def get_uuid() -> str:
        return "6ba7b810"

    async with running(app) as client:
        assert await client.call("demo.ip") == "192.0.2.1"
        assert await client.call("demo.port") == 8080
        assert await client.call("org.example.uuid") == "6ba7b810"


async def test_an_application_without_a_name_takes_those_of_its_functions() -> None:
    app = Application()

    @app.register
    def ip() -> str:
        return "192.0.2.1"

    async with running(app) as client:
        assert await client.call("ip") == "192.0.2.1"


async def test_decorated_functions_stay_what_they_are(app: Application) -> None:
    def add(a: int, b: int) -> int:
        return a + b

    assert app.register(add) is add
    assert app.register("demo.sum")(add) is add
    assert app.subscribe("demo.added")(add) is add
    assert app.signal("onjoined")(add) is add
    assert app.on("app.ready")(add) is add
    assert add(2, 3) == 5


def test_what_has_no_name_needs_a_uri(app: Application) -> None:
    with pytest.raises(ValueError, match="has no name to derive a URI from: give the URI"):
        app.register()(lambda: 1)

    app.register("demo.one")(lambda: 1)


@pytest.mark.parametrize("name", ["a b", "a..b", ".a", "wamp", "wamp.x", "a#"])
def test_a_name_that_no_uri_can_begin_with_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="cannot be the name of an application"):
        Application(name)


# --- what cannot be declared ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"match": "suffix"}, "match must be one of 'exact', 'prefix', 'wildcard', not 'suffix'"),
        ({"invoke": "all"}, "invoke must be one of 'single', .*not 'all'"),
        ({"limit_calls": 0}, "limit_calls must be a whole number from 1 on, not 0"),
        ({"limit_calls": True}, "limit_calls must be a whole number from 1 on, not True"),
        ({"concurrency": -1}, "concurrency must be a whole number from 1 on, not -1"),
        ({"timeout": 0}, "timeout must be a number of seconds above 0, not 0"),
        ({"timeout": "1"}, "timeout must be a number of seconds above 0, not '1'"),
        ({"timeout": float("nan")}, "timeout must be a number of seconds above 0, not nan"),
    ],
)
def test_an_option_that_makes_no_sense_is_refused_where_it_is_written(
    app: Application, options: dict[str, Any], text: str
) -> None:
    with pytest.raises(ValueError, match=text):
        app.register("demo.f", **options)(print)


def test_an_option_that_there_is_not_is_refused_where_it_is_written(app: Application) -> None:
    register: Any = app.register
    with pytest.raises(TypeError, match=r"@app\.register has no parameter 'invok'; did you mean 'invoke'\?"):
        register("demo.ip", invok="roundrobin")
    subscribe: Any = app.subscribe
    with pytest.raises(TypeError, match=r"@app\.subscribe has no parameter 'invoke'"):
        subscribe("demo.ping", invoke="roundrobin")


async def test_a_parameter_that_there_is_not_is_refused_before_anything_starts(app: Application) -> None:
    start: Any = app.start
    with pytest.raises(TypeError, match=r"app\.run has no parameter 'prot'; did you mean 'port'\?"):
        await start(prot=8080)
    assert not app.is_running


def test_options_of_decorators_are_those_that_type_checkers_know() -> None:
    for method, declared in ((Application.register, Procedure), (Application.subscribe, Subscription)):
        (_, signature) = get_overloads(method)
        names = [
            name for name, each in inspect.signature(signature).parameters.items() if each.kind is each.KEYWORD_ONLY
        ]
        assert tuple(names) == declared.OPTIONS
        assert {field.name for field in fields(declared)} == {"function", "uri", *names}


def test_an_application_is_not_named_by_how_python_was_started() -> None:
    with pytest.raises(ValueError, match="name the application"):
        Application("__main__")
    with pytest.raises(TypeError, match="the name of an application is a str, not 5"):
        Application(5)  # type: ignore[arg-type]


def test_only_functions_are_decorated(app: Application) -> None:
    for decorate in (app.register("demo.f"), app.subscribe("demo.t"), app.signal("onjoined"), app.on("app.ready")):
        with pytest.raises(TypeError, match="a function is decorated, not 5"):
            decorate(5)  # type: ignore[type-var]


def test_an_event_waits_for_silence_or_is_throttled_but_not_both(app: Application) -> None:
    with pytest.raises(ValueError, match="choose one of them"):
        app.subscribe("demo.t", debounce=1.0, throttle=1.0)(print)


@pytest.mark.parametrize(
    ("procedure", "text"),
    [("a b", "'a b' cannot be a procedure: write"), ("wamp.x", "belong to the router"), ("a..b", "cannot be a proc")],
)
def test_a_procedure_that_cannot_be_is_refused_where_it_is_written(app: Application, procedure: str, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        app.register(procedure)(print)


def test_a_procedure_is_registered_once(app: Application) -> None:
    @app.register
    def ip() -> None: ...

    with pytest.raises(ValueError, match=r"'demo\.ip' is registered already, as .*ip \(.*test_application\.py, line"):
        app.register("demo.ip")(print)

    app.register("demo.ip", match="prefix")(print)


def test_a_signal_or_hook_that_never_comes_is_refused(app: Application) -> None:
    with pytest.raises(ValueError, match="no signal 'onjoin'; did you mean 'onjoined'"):
        app.signal("onjoin")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"no 'app\.redy'; did you mean 'app\.ready'"):
        app.on("app.redy")


async def test_declaring_in_a_running_application_says_what_to_do_instead(app: Application) -> None:
    async with running(app):
        with pytest.raises(RuntimeError, match=r"runs already: @app\.register .*await app\.session\.register\("):
            app.register("demo.late")(print)
        with pytest.raises(RuntimeError, match=r"runs already: @app\.subscribe .*await app\.session\.subscribe\("):
            app.subscribe("demo.late")(print)
        with pytest.raises(RuntimeError, match=r"runs already: @app\.signal belongs above app\.run\(\)"):
            app.signal("onjoined")(print)
        with pytest.raises(RuntimeError, match="runs already"):
            app.on("app.ready")(print)
        with pytest.raises(RuntimeError, match="runs already"):
            await app.start()

    app.register("demo.late")(print)


# --- handlers -------------------------------------------------------------------------------------


async def test_plain_functions_run_in_threads_and_coroutines_on_the_loop(app: Application) -> None:
    @app.register
    def plain() -> bool:
        return threading.current_thread() is threading.main_thread()

    @app.register
    async def coroutine() -> bool:
        return threading.current_thread() is threading.main_thread()

    async with running(app) as client:
        assert await client.call("demo.plain") is False
        assert await client.call("demo.coroutine") is True


async def test_plain_functions_run_in_as_many_threads_as_it_is_told(app: Application) -> None:
    used: set[int] = set()

    @app.register
    def work() -> None:
        used.add(threading.get_ident())
        time.sleep(0.01)  # long enough for the others to take further threads, if there were any

    async with Router() as router:
        await app.start(router=router, threads=1)
        async with router.connect() as client:
            await asyncio.gather(*(client.call("demo.work") for _ in range(5)))
        await app.stop()

    assert len(used) == 1


async def test_type_hints_convert_arguments_and_refuse_wrong_ones(app: Application) -> None:
    @app.register
    def scaled(value: float, *, by: int = 2) -> float:
        return value * by

    async with running(app) as client:
        assert await client.call("demo.scaled", 2, by=3) == 6.0
        with pytest.raises(InvalidArgument, match="argument 'by'"):
            await client.call("demo.scaled", 2, by="three")
        with pytest.raises(InvalidArgument, match="argument 'value' is missing"):
            await client.call("demo.scaled")


async def test_a_handler_learns_who_calls_without_the_caller_saying_so(app: Application) -> None:
    @app.register
    def who(details: CallDetails) -> int | None:
        return details.caller

    @app.register(disclose_caller=False)
    def unknown(details: CallDetails) -> int | None:
        return details.caller

    async with running(app) as client:
        assert await client.call("demo.who") == client.id
        assert await client.call("demo.unknown") is None


async def test_a_parameter_may_be_called_details(app: Application) -> None:
    @app.register
    def note(details: str, details_: str = "") -> str:
        return details + details_

    async with running(app) as client:
        assert await client.call("demo.note", "a", details_="b") == "ab"
        assert await client.call("demo.note", details="c") == "c"


async def test_generators_give_progressive_results(app: Application) -> None:
    @app.register
    async def count(to: int) -> AsyncIterator[int]:
        for number in range(to):
            yield number

    @app.register
    def count_in_a_thread(to: int) -> Iterator[int]:
        yield from range(to)

    async with running(app) as client:
        assert [number async for number in client.stream("demo.count", 3)] == [0, 1, 2]
        assert [number async for number in client.stream("demo.count_in_a_thread", 3)] == [0, 1, 2]
        assert await client.call("demo.count", 3) == [0, 1, 2]


async def test_events_reach_their_handlers_by_topic_and_by_pattern(app: Application) -> None:
    heard: list[tuple[str, str]] = []
    complete = asyncio.Event()

    @app.subscribe
    async def ping(who: str) -> None:
        heard.append(("derived", who))

    @app.subscribe("demo.", match="prefix")
    async def all_of_demo(details: EventDetails, who: str) -> None:
        heard.append((details.topic, who))
        if who == "last":
            complete.set()

    async with running(app) as client:
        await client.publish("demo.ping", "ada")
        await client.publish("demo.pong", "last")
        await complete.wait()

    assert heard == [("derived", "ada"), ("demo.ping", "ada"), ("demo.pong", "last")]


# --- options --------------------------------------------------------------------------------------


async def test_a_procedure_with_a_limit_is_called_so_often_and_then_gone(app: Application) -> None:
    calls: list[int] = []

    @app.register(limit_calls=3)
    async def thrice(number: int) -> int:
        calls.append(number)
        await asyncio.sleep(0)
        return number

    async with running(app) as client:
        results = await asyncio.gather(
            *(client.call("demo.thrice", number) for number in range(50)), return_exceptions=True
        )
        with pytest.raises(NoSuchProcedure):
            await client.call("demo.thrice", 99)

    assert calls == [0, 1, 2]
    assert [result for result in results if not isinstance(result, NoSuchProcedure)] == [0, 1, 2]


async def test_who_has_the_last_answer_can_rely_on_the_end(app: Application) -> None:
    @app.register(limit_calls=1)
    def once() -> str:
        return "done"

    async with running(app) as client:
        assert await client.call("demo.once") == "done"
        assert await client.call("wamp.registration.lookup", "demo.once") is None


async def test_calls_beyond_a_limit_go_to_other_callees() -> None:
    first, second = Application("first"), Application("second")
    first.register("demo.work", invoke="first", limit_calls=2)(lambda: "first")
    second.register("demo.work", invoke="first")(lambda: "second")

    async with running(first, second) as client:
        results = await asyncio.gather(*(client.call("demo.work") for _ in range(6)))

    assert sorted(results) == ["first"] * 2 + ["second"] * 4


async def test_a_limit_counts_anew_in_the_next_run(app: Application) -> None:
    @app.register(limit_calls=1)
    def once() -> str:
        return "done"

    for _ in range(2):
        async with running(app) as client:
            assert await client.call("demo.once") == "done"


async def test_an_event_handler_with_a_limit_runs_so_often(app: Application) -> None:
    heard: list[int] = []
    told: list[int] = []
    complete = asyncio.Event()
    thrice = threading.Event()

    @app.subscribe("demo.ping", limit_calls=3)
    def on_ping(number: int) -> None:
        heard.append(number)
        if number == 2:
            thrice.set()

    @app.subscribe("demo.ping")
    async def always(number: int) -> None:
        told.append(number)
        if number == 19:
            complete.set()

    async with running(app) as client:
        for number in range(20):
            await client.publish("demo.ping", number)
        await complete.wait()
        await asyncio.to_thread(thrice.wait)

    assert heard == [0, 1, 2]
    assert told == list(range(20))


async def test_an_event_handler_with_a_limit_runs_so_often_even_if_several_run_at_once(app: Application) -> None:
    heard: list[int] = []

    @app.subscribe("demo.ping", limit_calls=5, concurrency=10)
    async def on_ping(number: int) -> None:
        heard.append(number)
        await asyncio.sleep(0.001)

    async with running(app) as client:
        for number in range(50):
            await client.publish("demo.ping", number)
        topics = []
        while not topics:  # nobody is subscribed any more
            topics = [] if await client.call("wamp.subscription.match", "demo.ping") else ["gone"]

    assert heard == [0, 1, 2, 3, 4]


async def test_a_limit_is_kept_even_if_the_last_event_comes_with_the_subscription(app: Application) -> None:
    heard: list[str] = []
    complete = asyncio.Event()

    @app.subscribe("demo.state", get_retained=True, limit_calls=1)
    async def once(text: str) -> None:
        heard.append(text)
        complete.set()

    async with Router() as router, router.connect() as client:
        await client.publish("demo.state", "kept", options=PublishOptions(acknowledge=True, retain=True))
        await app.start(router=router)
        await complete.wait()
        await client.publish("demo.state", "later", options=PublishOptions(acknowledge=True))

        assert await client.call("wamp.subscription.match", "demo.state") is None
        assert heard == ["kept"]
        await app.stop()


async def test_a_call_that_takes_too_long_is_canceled_and_answered(
    app: Application, caplog: pytest.LogCaptureFixture
) -> None:
    canceled: list[str] = []

    @app.register(timeout=2.0)
    async def slow() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            canceled.append("slow")
            raise

    with VirtualClock() as clock:
        async with running(app) as client:
            call = asyncio.create_task(client.call("demo.slow"))
            await clock.advance(1.9)
            assert not call.done()
            await clock.advance(0.2)
            with pytest.raises(CallTimeout, match=r"demo\.slow took longer than 2 s"):
                await call

    assert canceled == ["slow"]
    assert any("slow" in message and "took longer than 2 s" in message for message in caplog.messages)


async def test_a_plain_generator_that_takes_too_long_is_answered_while_its_thread_goes_on(app: Application) -> None:
    go_on = threading.Event()

    @app.register(timeout=0.05)
    def slow() -> Iterator[int]:
        yield 1
        go_on.wait()

    async with running(app) as client:
        try:
            with pytest.raises(CallTimeout, match=r"demo\.slow took longer than 0\.05 s"):
                await client.call("demo.slow")
        finally:
            go_on.set()


async def test_a_timeout_of_the_handlers_own_is_a_failure_like_others(app: Application) -> None:
    @app.register(timeout=60.0)
    async def slow() -> None:
        raise TimeoutError("the database")

    async with running(app) as client:
        with pytest.raises(ApplicationError, match=r"demo\.slow failed"):
            await client.call("demo.slow")


async def test_the_router_keeps_back_what_is_too_much_at_once(app: Application) -> None:
    at_work = most = 0

    @app.register(concurrency=2)
    async def work() -> None:
        nonlocal at_work, most
        at_work += 1
        most = max(most, at_work)
        await asyncio.sleep(0.002)
        at_work -= 1

    async with running(app) as client:
        await asyncio.gather(*(client.call("demo.work") for _ in range(10)))

    assert most == 2


async def test_events_are_handled_one_after_the_other_unless_concurrency_says_otherwise(app: Application) -> None:
    running_now: dict[str, int] = {"one": 0, "three": 0}
    most: dict[str, int] = {"one": 0, "three": 0}
    left = 20
    complete = asyncio.Event()

    async def handle(name: str) -> None:
        nonlocal left
        running_now[name] += 1
        most[name] = max(most[name], running_now[name])
        await asyncio.sleep(0.001)
        running_now[name] -= 1
        left -= 1
        if not left:
            complete.set()

    @app.subscribe("demo.t")
    async def one() -> None:
        await handle("one")

    @app.subscribe("demo.t", concurrency=3)
    async def three() -> None:
        await handle("three")

    async with running(app) as client:
        for _ in range(10):
            await client.publish("demo.t")
        await complete.wait()

    assert most == {"one": 1, "three": 3}


async def test_debounced_events_are_handled_once_they_have_stopped_coming(app: Application) -> None:
    saved: list[str] = []

    @app.subscribe("demo.typed", debounce=0.5)
    async def save(text: str) -> None:
        saved.append(text)

    with VirtualClock() as clock:
        async with running(app) as client:
            for text in ("a", "ab", "abc"):
                await client.publish("demo.typed", text)
                await clock.advance(0.4)
            assert saved == []
            await clock.advance(0.2)
            assert saved == ["abc"]
            await client.publish("demo.typed", "abcd")
            await clock.settle()

    assert saved == ["abc", "abcd"], "what waits when the application stops is handled"


async def test_throttled_events_are_handled_at_most_so_often(app: Application) -> None:
    shown: list[int] = []

    @app.subscribe("demo.moved", throttle=1.0)
    async def show(position: int) -> None:
        shown.append(position)

    with VirtualClock() as clock:
        async with running(app) as client:
            for position in range(25):
                await client.publish("demo.moved", position)
                await clock.advance(0.1)
            await clock.advance(10)

    assert shown == [0, 9, 19, 24]


async def test_a_throttled_handler_that_is_slower_than_its_pause_gets_the_latest(app: Application) -> None:
    shown: list[int] = []

    @app.subscribe("demo.moved", throttle=1.0)
    async def show(position: int) -> None:
        shown.append(position)
        await asyncio.sleep(3.5)

    with VirtualClock() as clock:
        async with running(app) as client:
            for position in range(100):
                await client.publish("demo.moved", position)
                await clock.advance(0.1)
            await clock.advance(10)

    assert shown == [0, 29, 69, 99]


# --- life -----------------------------------------------------------------------------------------


async def test_hooks_and_signals_come_in_their_order_and_are_waited_for(app: Application) -> None:
    told: list[str] = []

    def note(name: str) -> Any:
        async def noted() -> None:
            await asyncio.sleep(0.001)
            told.append(name)

        return noted

    for hook in ("app.stopped", "app.stopping", "app.ready", "app.starting"):
        app.on(hook)(note(hook))
    app.on("app.starting")(note("app.starting, too"))
    app.signal("onconnect")(note("onconnect"))
    app.signal("onleave")(note("onleave"))
    app.signal("ondisconnect")(note("ondisconnect"))

    @app.signal("onjoined")
    def joined(session: Session) -> None:
        told.append(f"onjoined {session.id == app.session.id}")

    async with running(app):
        told.append("running")

    assert told == [
        "app.starting",
        "app.starting, too",
        "onconnect",
        "onjoined True",
        "app.ready",
        "running",
        "app.stopping",
        "onleave",
        "ondisconnect",
        "app.stopped",
    ]


async def test_everything_is_registered_when_the_session_is_announced(app: Application) -> None:
    found: list[Any] = []

    @app.register
    def ip() -> str:
        return "192.0.2.1"

    @app.signal("onjoined")
    async def joined(session: Session) -> None:
        found.append(await session.call("demo.ip"))

    async with running(app) as client:
        await client.call("demo.ip")

    assert found == ["192.0.2.1"]


async def test_a_coroutine_may_go_on_for_as_long_as_the_session(app: Application) -> None:
    ticks: list[int] = []

    @app.signal("onjoined")
    async def tick(session: Session) -> None:
        number = 0
        try:
            while True:
                await session.publish("demo.tick", number)
                number += 1
                await asyncio.sleep(1)
        finally:
            ticks.append(number)

    with VirtualClock() as clock:
        async with running(app):
            await clock.advance(3.5)

    assert ticks == [4]


async def test_a_hook_that_fails_keeps_the_application_from_starting(app: Application) -> None:
    @app.on("app.starting")
    def check() -> None:
        raise LookupError("no database")

    with pytest.raises(LookupError, match="no database"):
        await app.start(port=0)

    assert not app.is_running
    app.register("demo.late")(print)


async def test_a_signal_that_fails_is_logged_and_disturbs_nothing(
    app: Application, caplog: pytest.LogCaptureFixture
) -> None:
    app.register("demo.ip")(lambda: "192.0.2.1")

    @app.signal("onjoined")
    def fail() -> None:
        raise LookupError("no database")

    async with running(app) as client:
        assert await client.call("demo.ip") == "192.0.2.1"

    record = next(record for record in caplog.records if "failed at 'onjoined'" in record.getMessage())
    assert record.exc_info is not None
    assert "fail (" in record.getMessage()


async def test_names_of_ones_own_are_emitted_with_what_the_functions_take(app: Application) -> None:
    told: list[tuple[Any, ...]] = []

    @app.on("mail.sent")
    async def both(to: str, subject: str) -> None:
        told.append((to, subject))

    @app.on("mail.sent")
    def one(to: str) -> None:
        told.append((to,))

    @app.on("mail.sent")
    def all_of_them(*args: Any) -> None:
        told.append(args)

    # The types of what is emitted are nobody's business: it does not come from elsewhere.
    @app.on("mail.sent")
    def hinted(to: Procedure | Subscription | str) -> None:
        told.append((to,))

    with pytest.raises(RuntimeError, match="does not run"):
        await app.emit("mail.sent", "ada", "hello")
    async with running(app):
        await app.emit("mail.sent", "ada", "hello")
        await app.emit("mail.lost")

    assert told == [("ada", "hello"), ("ada",), ("ada", "hello"), ("ada",)]


async def test_what_runs_when_the_application_stops_comes_to_its_end(app: Application) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    @app.register
    async def slow() -> str:
        begun.set()
        await go_on.wait()
        return "done"

    async with Router() as router:
        await app.start(router=router)
        async with router.connect() as client:
            call = asyncio.create_task(client.call("demo.slow"))
            await begun.wait()
            stop = asyncio.create_task(app.stop())
            while await client.call("wamp.registration.match", "demo.slow") is not None:
                assert not stop.done()
            with pytest.raises(NoSuchProcedure):
                await client.call("demo.slow")
            go_on.set()
            assert await call == "done"
            await stop


async def test_a_handler_may_stop_its_application_and_is_answered(app: Application) -> None:
    @app.register("demo.quit")
    async def leave() -> str:
        await app.stop()
        return "bye"

    async with Router() as router, router.connect() as client:
        await app.start(router=router)

        assert await client.call("demo.quit") == "bye"

        await app.stop()
        assert not app.is_running


async def test_stopping_twice_is_stopping_once(app: Application) -> None:
    stopped: list[str] = []
    app.on("app.stopped")(lambda: stopped.append("stopped"))

    await app.stop()
    await app.start(port=0)
    await asyncio.gather(app.stop(), app.stop())

    assert stopped == ["stopped"]


async def test_a_procedure_that_somebody_else_has_is_named_in_the_error(app: Application) -> None:
    app.register("demo.ip")(print)

    async with Router() as router, router.connect() as other:
        await other.register(lambda: 1, "demo.ip")

        with pytest.raises(ApplicationError, match="procedure_already_exists") as caught:
            await app.start(router=router)

        assert any("'demo.ip'" in note for note in caught.value.__notes__)
        assert not app.is_running


async def test_several_applications_share_a_router_and_call_each_other() -> None:
    shop, stock = Application("shop"), Application("stock")

    @stock.register
    def count(item: str) -> int:
        return len(item)

    @shop.register
    async def order(item: str) -> str:
        return f"{await shop.call('stock.count', item)} of {item}"

    async with running(stock, shop) as client:
        assert await client.call("shop.order", "tea") == "3 of tea"


async def test_run_in_a_thread_says_what_to_use_instead(app: Application) -> None:
    with pytest.raises(RuntimeError, match=r"app\.run\(\) is for the main thread.*rocade\.blocking"):
        await asyncio.to_thread(app.run)


async def test_hooks_of_connections_are_signals_here(app: Application) -> None:
    with pytest.raises(TypeError, match=r"on_join is for rocade\.connect; an application has @app\.signal"):
        await app.start(port=0, on_join=print)


# --- app.session, app.call, app.publish, app.blocking ---------------------------------------------


async def test_the_session_is_there_while_the_application_runs(app: Application) -> None:
    with pytest.raises(RuntimeError, match=r"has no session: app\.session is for handlers and hooks"):
        app.session  # noqa: B018

    async with running(app):
        assert app.session.realm == "realm1"

    with pytest.raises(RuntimeError, match=r"has no session: app\.call"):
        await app.call("demo.ip")


async def test_plain_functions_call_and_publish_by_blocking_their_thread(app: Application) -> None:
    heard = asyncio.Event()

    @app.register
    def outer(text: str) -> str:
        app.blocking.publish("demo.called", text)
        return f"outer {app.blocking.call('demo.inner', text)}"

    @app.register
    async def inner(text: str) -> str:
        return f"inner {text}"

    @app.subscribe
    async def called(text: str) -> None: ...

    async def on_called(text: str) -> None:
        heard.set()

    async with running(app) as client:
        await client.subscribe(on_called, "demo.called")
        assert await client.call("demo.outer", "x") == "outer inner x"
        await heard.wait()


async def test_plain_functions_emit_as_well(app: Application) -> None:
    told: list[str] = []
    app.on("order.paid")(told.append)

    @app.register
    def pay(customer: str) -> None:
        app.blocking.emit("order.paid", customer)

    async with running(app) as client:
        await client.call("demo.pay", "ada")

    assert told == ["ada"]


async def test_awaiting_in_a_thread_and_blocking_on_the_loop_say_what_to_write(app: Application) -> None:
    @app.register
    def wrong() -> str:
        try:
            app.publish("demo.t")
        except RuntimeError as error:
            return str(error)
        return ""

    async with running(app) as client:
        assert "write app.blocking.publish(…)" in await client.call("demo.wrong")
        with pytest.raises(RuntimeError, match=r"write await app\.call\(…\)"):
            app.blocking.call("demo.wrong")


# --- failures -------------------------------------------------------------------------------------


async def test_a_failure_is_told_in_full_here_and_in_a_word_to_the_caller(
    app: Application, caplog: pytest.LogCaptureFixture
) -> None:
    @app.register
    def sign_in(user: str, password: str, *, token: str = "") -> None:
        raise LookupError("no such table")

    async with running(app) as client:
        with pytest.raises(ApplicationError) as caught:
            await client.call("demo.sign_in", "ada", "tr0ub4dor", token="t0ken")

        assert caught.value.uri == "wamp.error.runtime_error"
        assert caught.value.args == ("demo.sign_in failed",)
        assert caught.value.kwargs == {}
        record = next(
            record for record in caplog.records if record.name == "rocade.app" and record.levelname == "ERROR"
        )
        text = record.getMessage()
        assert f"session {client.id}" in text
        assert "called demo.sign_in('ada', ***, token=***)" in text
        assert "sign_in (" in text
        assert "test_application.py, line" in text
        assert record.exc_info is not None
        assert isinstance(record.exc_info[1], LookupError)
        assert "tr0ub4dor" not in caplog.text


async def test_whoever_develops_gets_the_traceback_in_the_caller_as_well(app: Application) -> None:
    @app.register
    async def fail() -> None:
        raise LookupError("no such table")

    async with app.running(port=0), rocade.connect(app_url(app)) as client:
        with pytest.raises(ApplicationError) as caught:
            await client.call("demo.fail")

    assert caught.value.args == ("demo.fail failed: LookupError: no such table",)
    assert 'in fail\n    raise LookupError("no such table")' in caught.value.kwargs["traceback"]


def app_url(app: Application) -> str:
    assert app.url is not None
    return app.url


async def test_an_error_that_is_meant_for_the_caller_is_no_failure(
    app: Application, caplog: pytest.LogCaptureFixture
) -> None:
    @app.register
    def buy() -> None:
        raise ApplicationError("shop.error.out_of_stock", "tea", left=0)

    async with running(app) as client:
        with pytest.raises(ApplicationError) as caught:
            await client.call("demo.buy")

    assert (caught.value.uri, caught.value.args, caught.value.kwargs) == (
        "shop.error.out_of_stock",
        ("tea",),
        {"left": 0},
    )
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_a_handler_of_events_that_fails_is_told_of_and_gets_the_next_event(
    app: Application, caplog: pytest.LogCaptureFixture
) -> None:
    heard = asyncio.Event()

    @app.subscribe("demo.t")
    async def listen(text: str, secret: str) -> None:
        if text == "bad":
            raise LookupError("no such table")
        heard.set()

    async with running(app) as client:
        await client.publish("demo.t", "bad", "s3cret")
        await client.publish("demo.t", "good", "s3cret")
        await heard.wait()

    record = next(record for record in caplog.records if record.name == "rocade.app" and record.levelname == "ERROR")
    assert "published demo.t('bad', ***), publication " in record.getMessage()
    assert record.exc_info is not None
    assert "s3cret" not in caplog.text


async def test_a_limited_generator_fails_as_other_procedures_do(
    app: Application, caplog: pytest.LogCaptureFixture
) -> None:
    @app.register(limit_calls=1)
    async def count() -> AsyncIterator[int]:
        yield 1
        raise LookupError("no more numbers")

    async with running(app) as client:
        with pytest.raises(ApplicationError, match=r"demo\.count failed"):
            _ = [number async for number in client.stream("demo.count")]
        with pytest.raises(NoSuchProcedure):
            await client.call("demo.count")

    assert any("called demo.count()" in message for message in caplog.messages)


# --- files ----------------------------------------------------------------------------------------


async def test_files_are_served_beside_the_websocket(app: Application, tmp_path: Path) -> None:
    (tmp_path / "web").mkdir()
    (tmp_path / "web" / "index.html").write_text("<h1>Chat</h1>")
    app.http.serve("/", str(tmp_path / "web"))

    async with app.running(port=0):
        address = app_url(app).removeprefix("ws://").removesuffix("/ws")
        async with httpx.AsyncClient() as browser:
            page = await browser.get(f"http://{address}/")
            missing = await browser.get(f"http://{address}/missing")
        async with rocade.connect(app_url(app)) as client:
            assert client.is_open

    assert (page.status_code, page.text) == (200, "<h1>Chat</h1>")
    assert page.headers["content-type"].startswith("text/html")
    assert missing.status_code == 404


def test_files_that_are_not_there_or_not_to_be_found_are_refused(app: Application, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"there is no directory '.*tests/app/no_such_directory' to serve"):
        app.http.serve("/", "no_such_directory")
    with pytest.raises(ValueError, match="the path '/ws' is taken"):
        app.http.serve("ws", str(tmp_path))
    app.http.serve("/a/", str(tmp_path))
    with pytest.raises(ValueError, match="the path '/a' is taken"):
        app.http.serve("/a", str(tmp_path))
