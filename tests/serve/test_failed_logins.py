"""What failed logins lead to, on a clock that only the test moves."""

from __future__ import annotations

import pytest

from rocade.serve.counters import SILENCE, Counters
from rocade.serve.failed_logins import MAX_REMEMBERED, FailedLogins, LockedOut, LoginPolicy

ADDRESS, OTHER = "192.0.2.1", "192.0.2.2"


class Scene:
    def __init__(self, **policy: float) -> None:
        self.now = 1000.0
        self.counters = Counters(lambda: self.now)
        self.logins = FailedLogins(LoginPolicy(**policy), self.counters, lambda: self.now)  # type: ignore[arg-type]

    def fail(self, times: int, authid: str = "joe", address: str = ADDRESS) -> None:
        for _ in range(times):
            self.logins.failed(address, authid)

    def is_locked_out(self, authid: str = "joe", address: str = ADDRESS) -> bool:
        try:
            self.logins.check(address, authid)
        except LockedOut:
            return True
        return False


def test_each_failure_beyond_those_that_are_tolerated_doubles_the_delay_up_to_the_longest() -> None:
    scene = Scene()
    delays = []
    for _ in range(9):
        delays.append(scene.logins.delay(ADDRESS, "joe"))
        scene.fail(1)

    assert delays == [0, 0, 0, 0.5, 1, 2, 4, 5, 5]


def test_a_lock_out_ends_by_itself_and_trying_does_not_prolong_it() -> None:
    scene = Scene()
    scene.fail(10)
    for _ in range(30):
        assert scene.is_locked_out()
        scene.now += 9.99
    scene.now += 1

    assert not scene.is_locked_out()
    assert scene.counters.locked_out == 30


def test_failures_are_forgotten_one_after_the_other() -> None:
    scene = Scene()
    scene.fail(9)
    scene.now += 2 * 90
    scene.fail(2)
    assert not scene.is_locked_out()

    scene.fail(1)
    assert scene.is_locked_out()


def test_in_the_long_run_somebody_who_goes_on_has_one_guess_in_ninety_seconds() -> None:
    scene = Scene()
    guesses = 0
    for _ in range(24 * 60 * 60):
        if not scene.is_locked_out():
            scene.fail(1)
            guesses += 1
        scene.now += 1

    assert guesses <= 10 + 24 * 60 * 60 / 90


def test_a_failure_now_and_then_among_many_who_share_an_address_locks_nobody_out() -> None:
    scene = Scene()
    for number in range(5000):
        scene.fail(1, f"user{number}")
        scene.now += 10

    assert scene.counters.lock_outs == 0


def test_logging_in_forgets_the_failures_of_that_name_there_and_not_those_of_the_address() -> None:
    scene = Scene(lock_out_address_after=12)
    scene.fail(9)
    scene.logins.succeeded(ADDRESS, "joe")
    scene.fail(2)
    assert not scene.is_locked_out()

    scene.fail(1, "ann")
    assert scene.is_locked_out("bob")


def test_whoever_has_logged_in_from_an_address_is_not_slowed_down_there_by_what_others_do() -> None:
    scene = Scene()
    scene.logins.succeeded(ADDRESS, "joe")
    for number in range(50):
        scene.fail(1, "joe", f"198.51.100.{number}")

    assert scene.logins.delay(ADDRESS, "joe") == 0
    assert scene.logins.delay(OTHER, "joe") == 5
    assert not scene.is_locked_out("joe", OTHER)
    assert scene.logins.delay(OTHER, "ann") == 0


def test_those_who_give_no_name_are_counted_by_their_address_only() -> None:
    scene = Scene()
    for _ in range(99):
        scene.logins.failed(ADDRESS, None)
    assert scene.logins.delay(ADDRESS, None) == 0
    assert not scene.is_locked_out("")

    scene.logins.failed(ADDRESS, None)
    assert scene.is_locked_out("")
    assert scene.is_locked_out("joe")


@pytest.mark.parametrize("policy", [{"lock_out_after": 0, "lock_out_address_after": 0}, {"lock_out": 0}])
def test_lock_outs_can_be_turned_off(policy: dict[str, float]) -> None:
    scene = Scene(**policy)
    scene.fail(1000)

    assert not scene.is_locked_out()


def test_delays_can_be_turned_off() -> None:
    scene = Scene(delay=0)
    scene.fail(1000)

    assert scene.logins.delay(ADDRESS, "joe") == 0


def test_a_delay_longer_than_a_login_may_take_is_refused() -> None:
    with pytest.raises(ValueError, match="max_delay"):
        LoginPolicy(max_delay=11)


def test_what_is_remembered_is_bounded_in_number_and_in_size_and_ends() -> None:
    scene = Scene()
    name = "x" * 60_000
    for number in range(MAX_REMEMBERED + 100):
        scene.logins.failed(f"address{number}", f"{name}{number}")
        scene.logins.succeeded(f"address{number}", f"{name}{number}")

    assert scene.logins.remembered == 3 * MAX_REMEMBERED + 0
    assert all(len(key) <= 64 for key in scene.logins._names._entries)

    scene.now += 10_000
    scene.fail(1, "joe", ADDRESS)
    assert scene.logins.remembered == MAX_REMEMBERED + 3


def test_the_log_tells_once_of_each_client_and_limit_and_again_after_a_while(caplog: pytest.LogCaptureFixture) -> None:
    scene = Scene()
    for _ in range(50):
        scene.counters.limit_reached("subscriptions", ADDRESS, "refused")
        scene.counters.limit_reached("subscriptions", OTHER, "refused")
        scene.counters.limit_reached("registrations", ADDRESS, "refused")
    assert len(caplog.messages) == 3

    scene.now += SILENCE
    scene.counters.limit_reached("subscriptions", ADDRESS, "refused")
    assert caplog.messages[-1].endswith("(101 times in all)")


def test_what_was_counted_can_be_told_in_the_end() -> None:
    scene = Scene()
    assert scene.counters.summary() == ""

    scene.fail(10)
    assert scene.is_locked_out()
    for limit in ("sessions", "subscriptions", "sessions"):
        scene.counters.limit_reached(limit, ADDRESS, "refused")

    assert scene.counters.summary().split("; ") == [
        "sessions 2 times",
        "subscriptions 1 times",
        "10 failed logins, 1 lock-outs",
        "1 attempts of those who were locked out",
    ]


def test_that_the_log_has_told_is_remembered_of_so_many() -> None:
    scene = Scene()
    for number in range(10_000):
        scene.counters.limit_reached("subscriptions", f"address{number}", "refused")

    assert len(scene.counters._told) <= 4096
