"""The demonstration page in a real browser: two tabs that talk through a real router."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

CONFIGURATION = Path(__file__).parent.parent.parent / "examples" / "demo" / "config.json"
PATIENCE_S = 30.0

OpenTab = Callable[[], Page]


class Router:
    """`rocade start` with the page's configuration, on a port that it has again after restarts."""

    def __init__(self, log: Path, port: int) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{self.port}/"
        self.log = log
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the process and wait until it accepts connections."""
        command = [sys.executable, "-m", "rocade", "start", "--config", str(CONFIGURATION)]
        environment = os.environ | {"ROCADE_DEMO_PORT": str(self.port)}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
        deadline = time.monotonic() + PATIENCE_S
        while not self._accepts_connections():
            if self.process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"the router did not start:\n{self.log.read_text()}")
            time.sleep(0.05)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End the process and wait for its end."""
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(PATIENCE_S)
            self.process = None

    def _accepts_connections(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True


@pytest.fixture
def router(tmp_path: Path, free_port: int) -> Iterator[Router]:
    router = Router(tmp_path / "router.log", free_port)
    router.start()
    yield router
    router.stop()


@pytest.fixture
def open_tab(router: Router, browser: Browser) -> Iterator[OpenTab]:
    """Opens the page in one more tab, and waits until it is connected."""
    context = browser.new_context()
    context.set_default_timeout(PATIENCE_S * 1000)
    expect.set_options(timeout=PATIENCE_S * 1000)
    errors: list[str] = []

    def open_tab() -> Page:
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(router.url)
        expect(page.locator("#state")).to_have_text("Connected")
        return page

    yield open_tab
    context.close()
    assert errors == []


@pytest.fixture
def two_tabs(open_tab: OpenTab) -> tuple[Page, Page]:
    """Two tabs that know of each other."""
    one, two = open_tab(), open_tab()
    for tab in (one, two):
        expect(tab.locator("#tabs label")).to_have_count(1)
    return one, two


def name(tab: Page) -> str:
    return tab.locator("#my-name").inner_text()


def test_a_bam_in_one_tab_shows_in_the_other(two_tabs: tuple[Page, Page]) -> None:
    one, two = two_tabs

    one.get_by_role("button", name="BAM").click()
    one.get_by_role("button", name="BAM").click()

    expect(two.locator("#bam-status")).to_have_text(f"BAM 2 from {name(one)}.")
    expect(one.locator("#bam-status")).to_have_text("You sent BAM 2 to the other tabs.")


def test_a_tab_calls_another_and_shows_its_answer(two_tabs: tuple[Page, Page]) -> None:
    one, two = two_tabs

    one.get_by_label("Say what?").fill("Ça va ?")
    one.get_by_role("button", name="Call", exact=True).click()

    expect(one.locator("#answer")).to_contain_text(f"Hello {name(one)}, this is {name(two)}. You said “Ça va ?”")
    expect(one.locator("#answer")).to_contain_text(" ms there and back")
    expect(two.locator("#called")).to_have_text(f"{name(one)} called this tab: “Ça va ?”")


def test_an_error_is_shown_with_its_uri(open_tab: OpenTab) -> None:
    tab = open_tab()

    tab.get_by_role("button", name="Call what nobody has").click()

    expect(tab.locator("#answer")).to_contain_text("wamp.error.no_such_procedure")


def test_a_closed_tab_leaves_the_list(two_tabs: tuple[Page, Page]) -> None:
    one, two = two_tabs

    two.close(run_before_unload=True)

    expect(one.locator("#tabs label")).to_have_count(0)
    expect(one.get_by_role("button", name="Call", exact=True)).to_be_disabled()


def test_the_log_shows_the_messages_of_the_session(open_tab: OpenTab) -> None:
    tab = open_tab()

    messages = tab.locator("#log .raw")

    expect(messages.last).to_contain_text('[1,"realm1",')
    expect(messages.nth(-2)).to_contain_text("[2,")


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL], ids=["stopped", "killed"])
def test_tabs_find_each_other_again_after_a_restart(
    router: Router, two_tabs: tuple[Page, Page], how: signal.Signals
) -> None:
    one, two = two_tabs

    router.stop(how)
    for tab in (one, two):
        expect(tab.locator("#state")).not_to_have_text("Connected")
    router.start()

    for tab in (one, two):
        expect(tab.locator("#state")).to_have_text("Connected")
        expect(tab.locator("#tabs label")).to_have_count(1)
    one.get_by_role("button", name="BAM").click()
    expect(two.locator("#bam-status")).to_have_text(f"BAM 1 from {name(one)}.")
