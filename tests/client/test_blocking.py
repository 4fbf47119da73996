"""`rocade.blocking`: in this process and in others, with threads, forks, signals and ends of all kinds."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tests.app.programs import SOURCE, Program
from tests.interop.router import Router

import rocade
from rocade.blocking import Client, connect
from rocade.client.background import Background
from rocade.testing import ListeningRouter

TIMEOUT = 60
UVLOOP = ["uvloop", "asyncio"]


@pytest.fixture(scope="module")
def router() -> Iterator[ListeningRouter]:
    with ListeningRouter() as router:
        yield router


@pytest.fixture
def client(router: ListeningRouter) -> Iterator[Client]:
    with connect(router.url) as client:
        yield client


def script(text: str, loop: str = "uvloop") -> str:
    """A program for `python -c`, which finds the router's URL in `url`."""
    begin = "import sys\nurl = sys.argv[1]\n"
    if loop == "asyncio":
        begin += "sys.modules['uvloop'] = None\n"
    return begin + textwrap.dedent(text)


def run(router: ListeningRouter, text: str, loop: str = "uvloop") -> str:
    """What a program prints, that ends without an error or warning."""
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", script(text, loop), router.url],
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    # In development mode asyncio tells what has taken long, which depends on the machine.
    errors = [line for line in done.stderr.splitlines() if not line.startswith("Executing <")]
    assert (done.returncode, errors) == (0, []), done.stderr
    return done.stdout


# --- what it offers -------------------------------------------------------------------------------------


def test_it_is_there_without_an_import_of_its_own() -> None:
    text = "import rocade; print(rocade.blocking.connect.__name__, 'blocking' in dir(rocade))"

    done = subprocess.run(
        [sys.executable, "-c", text], env={**os.environ, "PYTHONPATH": str(SOURCE)}, capture_output=True, check=True
    )

    assert done.stdout == b"connect True\n"


def test_calls_wait_for_results_and_raise_errors(client: Client) -> None:
    def divide(a: int, b: int) -> float:
        if b == 0:
            raise rocade.ApplicationError("demo.error.zero", a)
        return a / b

    registration = client.register(divide, "demo.divide")

    assert client.call("demo.divide", 6, b=3) == 2
    with pytest.raises(rocade.ApplicationError, match=r"demo\.error\.zero: 6"):
        client.call("demo.divide", 6, 0)
    with pytest.raises(rocade.InvalidArgument):
        client.call("demo.divide", "six", 3)
    registration.unregister()
    with pytest.raises(rocade.NoSuchProcedure):
        client.call("demo.divide", 6, 3)


def test_a_call_is_given_up_in_time(client: Client) -> None:
    canceled = threading.Event()

    async def sleep() -> None:
        try:
            await asyncio.sleep(TIMEOUT)
        finally:
            canceled.set()

    client.register(sleep, "demo.sleep")

    with pytest.raises(TimeoutError):
        client.call("demo.sleep", timeout=0.05)
    assert canceled.wait(TIMEOUT)


def test_events_come_to_handlers_and_iterators(client: Client) -> None:
    heard = threading.Event()
    subscription = client.subscribe(lambda text: heard.set(), "demo.news")
    options = rocade.PublishOptions(exclude_me=False, acknowledge=True)
    with client.events("demo", match="prefix") as events:
        assert isinstance(client.publish("demo.news", "rain", options=options), int)

        event = next(events)

    assert (event.topic, event.args) == ("demo.news", ["rain"])
    assert heard.wait(TIMEOUT)
    assert list(events) == []
    subscription.unsubscribe()
    assert client.call("wamp.subscription.match", "demo.news") is None


def test_streams_are_iterators_and_leaving_them_cancels(client: Client) -> None:
    canceled = threading.Event()

    async def count(to: int) -> Any:
        try:
            for number in range(to):
                yield number
                await asyncio.sleep(0)
        finally:
            canceled.set()

    client.register(count, "demo.count")

    assert list(client.stream("demo.count", 3)) == [0, 1, 2]
    canceled.clear()
    for number in client.stream("demo.count", 1_000_000):
        if number == 3:
            break
    assert canceled.wait(TIMEOUT)


def test_handlers_may_call_and_publish(client: Client) -> None:
    def outer(number: int) -> int:
        client.publish("demo.asked", number)
        result: int = client.call("demo.inner", number)
        return result

    client.register(lambda number: number + 1, "demo.inner")
    client.register(outer, "demo.outer")

    assert client.call("demo.outer", 1) == 2


def test_many_threads_use_one_client(router: ListeningRouter, client: Client) -> None:
    client.register(lambda number: number, "demo.same")
    other = Client(router.url)  # which all of them open
    with ThreadPoolExecutor(32) as threads:
        results = list(threads.map(lambda number: other.call("demo.same", number), range(500)))
    other.close()

    assert results == list(range(500))


def test_the_session_behind_it_can_be_used(client: Client) -> None:
    assert client.session.realm == "realm1"
    assert client.wait_for(lambda session: session.call("wamp.session.count")) >= 1


def test_decorators_take_effect_when_the_client_starts(router: ListeningRouter) -> None:
    client = Client(router.url)
    heard = threading.Event()

    @client.register("demo.twice")
    def twice(number: int) -> int:
        return 2 * number

    @client.subscribe("demo.heard")
    def on_heard() -> None:
        heard.set()

    assert twice(2) == 4
    with client:
        assert client.call("demo.twice", 3) == 6
        client.publish("demo.heard", options=rocade.PublishOptions(exclude_me=False))
        assert heard.wait(TIMEOUT)

        with pytest.raises(RuntimeError, match=r"comes too late: use decorators when.*client\.register\(twice"):
            client.register("demo.late")(twice)


def test_registrations_are_shared(router: ListeningRouter) -> None:
    with connect(router.url) as first, connect(router.url) as second:
        first.register(lambda: 1, "demo.shared")
        second.register(lambda: 2, "demo.shared")

        assert {first.call("demo.shared") for _ in range(4)} == {1, 2}


# --- what it refuses ------------------------------------------------------------------------------------


def test_a_closed_client_stays_closed(router: ListeningRouter) -> None:
    client = connect(router.url)
    client.close()
    client.close()

    with pytest.raises(rocade.SessionClosed, match="the client was closed"):
        client.call("wamp.session.count")


def test_mistakes_are_told_when_the_client_is_made() -> None:
    with pytest.raises(ValueError, match="http"):
        Client("http://127.0.0.1/")
    with pytest.raises(TypeError, match="relam"):
        Client(relam="realm1")


def test_a_failed_start_can_be_repeated(router: ListeningRouter) -> None:
    with pytest.raises(rocade.ConnectionFailed):
        connect("ws://127.0.0.1:1/ws", timeout=0.1)
    with pytest.raises(rocade.HandshakeRefused):
        connect(router.url, "nowhere")

    with connect(router.url) as first:
        first.register(lambda: 1, "demo.mine", invoke="single")
        second = Client(router.url)
        second.register("demo.mine", invoke="single")(lambda: 2)
        with pytest.raises(rocade.ApplicationError, match="already"):
            second.start()
        first.close()
        assert second.call("demo.mine") == 2
        second.close()


def test_threads_that_wait_for_one_attempt_fail_with_it() -> None:
    client = Client("ws://127.0.0.1:1/ws", timeout=0.3)
    with ThreadPoolExecutor(8) as threads:
        failures = list(threads.map(lambda _: _failure_of(client), range(8)))

    assert {type(failure) for failure in failures} == {rocade.ConnectionFailed}


def _failure_of(client: Client) -> BaseException | None:
    try:
        client.call("demo.nothing")
    except Exception as error:
        return error
    return None


def test_an_event_loop_is_not_blocked(router: ListeningRouter, client: Client) -> None:
    async def blocks() -> None:
        with pytest.raises(RuntimeError, match=r"would block the event loop.*use rocade\.connect"):
            client.call("wamp.session.count")
        with pytest.raises(RuntimeError, match="would block the event loop"):
            Client(router.url).start()
        with pytest.raises(RuntimeError, match="would block the event loop"):
            client.close()

    asyncio.run(blocks())


def test_its_own_event_loop_is_not_blocked(router: ListeningRouter, client: Client) -> None:
    async def handler() -> str:
        with pytest.raises(RuntimeError) as caught:
            client.call("wamp.session.count")
        return str(caught.value)

    client.register(handler, "demo.handler")
    assert "would wait for ever" in client.call("demo.handler")

    def hook(session: rocade.Session) -> None:
        hooked.call("wamp.session.count")  # while the thread that has started it waits

    hooked = Client(router.url, on_join=hook)
    with pytest.raises(RuntimeError, match="in a coroutine or a hook"):
        hooked.start()


# --- the end of the program -----------------------------------------------------------------------------


@pytest.mark.parametrize("loop", UVLOOP)
def test_a_program_ends_without_closing_it(router: ListeningRouter, loop: str) -> None:
    text = """
        import rocade.blocking, threading, time
        client = rocade.blocking.connect(url)
        client.register(lambda: None, "demo.end")
        client.subscribe(lambda number: None, "demo.endless")
        stream = client.events("demo.endless")
        me = rocade.PublishOptions(exclude_me=False)
        def publish():
            for number in range(2000):
                client.publish("demo.endless", number, options=me)
        # They go on when the main thread has come to its end, and the interpreter begins to end.
        for _ in range(4):
            threading.Thread(target=publish).start()
        print(client.call("wamp.session.count") > 0)
    """

    assert run(router, text, loop) == "True\n"


@pytest.mark.parametrize("loop", UVLOOP)
def test_a_call_that_waits_when_the_program_ends_is_no_hindrance(router: ListeningRouter, loop: str) -> None:
    text = """
        import asyncio, rocade.blocking, threading
        client = rocade.blocking.connect(url)
        called = threading.Event()
        async def sleep():
            called.set()
            await asyncio.sleep(1000)
        client.register(sleep, "demo.for_ever")
        def call():
            try:
                client.call("demo.for_ever")
            except rocade.SessionClosed:
                pass
        threading.Thread(target=call, daemon=True).start()
        called.wait()
        print("end")
    """

    assert run(router, text, loop) == "end\n"


def test_it_says_so_when_it_is_used_too_late(router: ListeningRouter) -> None:
    text = """
        import atexit
        def late():
            for use in (lambda: client.call("demo.late"), client.session.close):
                try:
                    use()
                except rocade.SessionClosed as error:
                    print(error)
                    break
            client.close()
        atexit.register(late)
        import rocade.blocking
        client = rocade.blocking.connect(url)
    """

    assert run(router, text) == "the program ends\n"


@pytest.fixture
def long_call(client: Client) -> tuple[threading.Event, threading.Event]:
    """Whether demo.long has been called, and whether the call has been canceled."""
    called, canceled = threading.Event(), threading.Event()

    async def sleep() -> None:
        called.set()
        try:
            await asyncio.sleep(TIMEOUT)
        finally:
            canceled.set()

    client.register(sleep, "demo.long")
    return called, canceled


def test_ctrl_c_cancels_the_call(
    router: ListeningRouter, long_call: tuple[threading.Event, threading.Event], tmp_path: Path
) -> None:
    called, canceled = long_call
    text = """
        import rocade.blocking
        client = rocade.blocking.connect(url)
        try:
            client.call("demo.long")
        except KeyboardInterrupt:
            print("interrupted", client.call("wamp.session.count") > 0)
            input()
    """
    with Program("-W", "error", "-c", script(text), router.url, directory=tmp_path) as program:
        assert called.wait(TIMEOUT)
        program.signal(signal.SIGINT)

        assert canceled.wait(TIMEOUT)
        program.wait_for("interrupted True\n")


def test_a_thread_that_is_interrupted_before_it_waits_cancels_the_call_too(
    client: Client, long_call: tuple[threading.Event, threading.Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    called, canceled = long_call

    def interrupted(self: Background, work: Any) -> Any:
        submit(self, work)
        assert called.wait(TIMEOUT)
        raise KeyboardInterrupt  # as Ctrl-C does in a thread that was slower than the router and the callee

    submit = Background._submit
    with monkeypatch.context() as patch:
        patch.setattr(Background, "_submit", interrupted)
        with pytest.raises(KeyboardInterrupt):
            client.call("demo.long")

    assert canceled.wait(TIMEOUT)


# --- processes ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loop", UVLOOP)
@pytest.mark.parametrize("end", ["sys.exit()", "os._exit(0)"])
def test_a_forked_process_has_a_session_of_its_own(router: ListeningRouter, loop: str, end: str) -> None:
    text = f"""
        import os, rocade.blocking
        client = rocade.blocking.connect(url)
        @rocade.blocking.Client.register.__get__(declared := rocade.blocking.Client(url))("demo.whose")
        def whose():
            return os.getpid()
        assert declared.call("demo.whose") == os.getpid()
        registration = client.register(lambda: None, "demo.parents")
        events = client.events("demo.events")
        mine = client.session.id
        if os.fork() == 0:
            assert client.session.id != mine
            assert declared.call("wamp.registration.count_callees",
                                 declared.call("wamp.registration.match", "demo.whose")) == 2
            for use in (registration.unregister, lambda: next(events), events.close):
                try:
                    use()
                except RuntimeError as error:
                    assert "forked" in str(error)
            if os.fork() == 0:
                assert declared.call("wamp.registration.count_callees",
                                     declared.call("wamp.registration.match", "demo.whose")) == 3
                {end}
            assert os.wait()[1] == 0
            {end}
        assert os.wait()[1] == 0
        assert client.session.id == mine
        client.call("demo.parents")
        client.publish("demo.events", 1, options=rocade.PublishOptions(exclude_me=False))
        print(next(events).args)
    """

    assert run(router, text, loop) == "[1]\n"


def test_a_forked_process_does_not_keep_its_parents_connection(router: ListeningRouter, tmp_path: Path) -> None:
    text = """
        import os, signal, rocade.blocking
        client = rocade.blocking.connect(url)
        client.register(lambda: None, "demo.killed")
        mine = client.session.id
        reading, writing = os.pipe()
        if os.fork() == 0:
            os.write(writing, b"x")
            while True:
                signal.pause()
        os.read(reading, 1)
        print("forked", mine)
        signal.pause()
    """
    with (
        connect(router.url) as client,
        client.events("wamp.session.on_leave") as left,
        Program("-c", script(text), router.url, directory=tmp_path, own_group=True) as program,
    ):
        try:
            program.wait_for("forked")
            # Python 3.12 and later warn that there is a second thread.
            (parent,) = map(int, re.findall(r"^forked (\d+)$", program.text, re.MULTILINE))
            program.signal(signal.SIGKILL)
            assert next(event for event in left if event.args[0] == parent)
            with pytest.raises(rocade.NoSuchProcedure):
                client.call("demo.killed")
        finally:
            program.signal_group(signal.SIGKILL)


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_processes_of_multiprocessing_say_goodbye(router: ListeningRouter, method: str, tmp_path: Path) -> None:
    program = tmp_path / "pool.py"
    program.write_text(
        textwrap.dedent("""
        import multiprocessing, sys, rocade.blocking
        client = rocade.blocking.Client(sys.argv[1])
        def ask(number):
            return client.session.id, client.call("demo.plus", number)
        if __name__ == "__main__":
            client.register(lambda number: number + 1, "demo.plus")
            processes = multiprocessing.get_context(sys.argv[2])
            with processes.Pool(3) as pool:
                answers = pool.map(ask, range(30), chunksize=1)
                pool.close()
                pool.join()
            assert [answer for _, answer in answers] == list(range(1, 31))
            assert client.session.id not in {id for id, _ in answers}
            assert client.call("wamp.session.count") == int(sys.argv[3])
            print("good")
    """)
    )
    with connect(router.url) as client:
        count = client.call("wamp.session.count") + 1
        with Program("-W", "error", program, router.url, method, str(count), directory=tmp_path) as running:
            assert running.wait() == 0, running.text
            assert running.text == "good\n"


GREEN = {
    "gevent": "import gevent.monkey; gevent.monkey.patch_all()",
    "eventlet": "import warnings; warnings.simplefilter('ignore'); import eventlet; eventlet.monkey_patch()",
}


@pytest.mark.parametrize("library", sorted(GREEN))
@pytest.mark.parametrize("order", ["before", "between", "after"])
def test_green_threads_are_refused(router: ListeningRouter, library: str, order: str) -> None:
    steps = ["import rocade.blocking", "client = rocade.blocking.Client(sys.argv[1])", "client.start()"]
    steps.insert(["before", "between", "after"].index(order), GREEN[library])

    done = subprocess.run(
        [sys.executable, "-c", script("\n".join(steps)), router.url],
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )

    assert done.returncode == 1
    assert f"RuntimeError: rocade.blocking needs real threads and sockets, and {library} has replaced" in done.stderr


# --- the network ----------------------------------------------------------------------------------------


def test_a_restarted_router_finds_everything_as_it_was(tmp_path: Path, free_port: int) -> None:
    router = Router(tmp_path / "first.log", "--port", str(free_port))
    try:
        with connect(router.url) as client:
            client.register(lambda: "here", "demo.here")
            heard = threading.Event()
            client.subscribe(heard.set, "demo.heard")
            router.kill()
            router = Router(tmp_path / "second.log", "--port", str(free_port))

            while True:
                try:
                    assert client.call("demo.here", timeout=TIMEOUT) == "here"
                    break
                except (rocade.NoSuchProcedure, rocade.ConnectionLost):
                    pass  # it has not registered again yet
            client.publish("demo.heard", options=rocade.PublishOptions(exclude_me=False))
            assert heard.wait(TIMEOUT)
    finally:
        router.stop()


def test_a_publisher_waits_for_a_router_that_does_not_read(tmp_path: Path) -> None:
    router = Router(tmp_path / "log")
    try:
        with connect(router.url) as client:

            def publish() -> None:
                for _ in range(100):
                    client.publish("demo.large", bytes(1024 * 1024))

            thread = threading.Thread(target=publish)
            router.signal(signal.SIGSTOP)
            thread.start()
            thread.join(1.0)
            waits = thread.is_alive()
            router.signal(signal.SIGCONT)
            thread.join(TIMEOUT)

            assert (waits, thread.is_alive()) == (True, False)
    finally:
        router.stop()
