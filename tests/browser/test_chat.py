"""The chat of docs/tutorial.md in two real browsers, and its Python being changed under them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from tests.app import tutorial
from tests.app.programs import Program

CHAT = Path(__file__).parents[2] / "examples" / "chat"


@pytest.fixture
def chat(tmp_path: Path) -> Iterator[Program]:
    """`rocade dev` with a copy of the example, which may be changed."""
    shutil.copytree(CHAT, tmp_path / "chat")
    with Program("-m", "rocade", "dev", "chat.py", "--port", "0", directory=tmp_path / "chat") as program:
        program.wait_for("application ready")
        yield program


def open_page(browser: Browser, chat: Program, name: str) -> Page:
    context = browser.new_context()  # nothing in common, like another browser
    context.set_default_timeout(30_000)
    page = context.new_page()
    page.goto(chat.url.replace("ws://", "http://").removesuffix("ws"))
    expect(page.locator("body")).to_have_attribute("data-ready", "yes", timeout=30_000)
    page.get_by_placeholder("Your name").fill(name)
    return page


def say(page: Page, text: str) -> None:
    page.get_by_placeholder("Say something").fill(text)
    page.get_by_role("button", name="Say").click()


def test_two_browsers_hear_each_other(browser: Browser, chat: Program) -> None:
    ada, bob = open_page(browser, chat, "Ada"), open_page(browser, chat, "Bob")

    say(ada, "Hello")
    expect(bob.locator("#messages li")).to_have_text(["Ada: Hello"])
    say(bob, "Hi <b>Ada</b>")

    for page in (ada, bob):
        expect(page.locator("#messages li")).to_have_text(["Ada: Hello", "Bob: Hi <b>Ada</b>"])
    late = open_page(browser, chat, "Eve")
    expect(late.locator("#messages li")).to_have_count(2)


def test_a_refusal_is_shown(browser: Browser, chat: Program) -> None:
    ada = open_page(browser, chat, "Ada")

    say(ada, " ")

    expect(ada.locator("#error")).to_have_text("say something")


def test_pages_stay_connected_while_the_python_code_changes(browser: Browser, chat: Program, tmp_path: Path) -> None:
    ada, bob = open_page(browser, chat, "Ada"), open_page(browser, chat, "Bob")
    file = tmp_path / "chat" / "chat.py"

    before, after = [
        block.text.strip() for block in tutorial.blocks() if block.text.startswith("message =") and not block.title
    ]
    text = file.read_text()
    assert before in text
    file.write_text(text.replace(before, after))
    chat.wait_for("changed: chat.py")
    say(ada, "louder")  # the page has no code to connect again

    for page in (ada, bob):
        expect(page.locator("#messages li")).to_have_text(["Ada: LOUDER"])
