"""What the terminal shows of arguments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from rocade.app.report import is_secret, shown_arguments


class Login(msgspec.Struct):
    user: str
    password: str


@dataclass
class Account:
    name: str
    api_key: str


def sign_in(user: str, password: str, *rest: Any, remember: bool = False, **more: Any) -> None: ...


def test_secrets_are_hidden_by_the_name_of_their_parameter() -> None:
    shown = shown_arguments(sign_in, ("ada", "tr0ub4dor"), {"remember": True, "token": "t0k"})

    assert shown == "('ada', ***, remember=True, token=***)"


@pytest.mark.parametrize(
    "value",
    [{"password": "tr0ub4dor"}, [{"a": {"access_token": "tr0ub4dor"}}], Login("ada", "tr0ub4dor"),
     Account("ada", "tr0ub4dor"), {"login": [Login("ada", "tr0ub4dor")]}],
    ids=["dict", "nested", "struct", "dataclass", "struct in a list"],
)  # fmt: skip
def test_secrets_are_hidden_inside_of_values(value: Any) -> None:
    shown = shown_arguments(sign_in, (value,), {})

    assert "***" in shown
    assert "tr0ub4dor" not in shown


@pytest.mark.parametrize(
    "name", ["password", "passwd", "new_password", "secret", "client_secret", "token", "accessToken", "ticket", "key",
             "api_key", "apiKey", "private_key", "credentials", "cookie", "pin", "otp", "Authorization"],
)  # fmt: skip
def test_a_name_of_a_secret_is_recognised(name: str) -> None:
    assert is_secret(name)


@pytest.mark.parametrize("name", ["user", "keyboard", "monkey", "compass", "author", "spinning", "text", ""])
def test_other_names_are_not(name: str) -> None:
    assert not is_secret(name)


def test_what_is_long_is_cut() -> None:
    shown = shown_arguments(sign_in, ("x" * 100_000, list(range(100_000))), {})

    assert len(shown) < 1000


def test_a_value_whose_repr_fails_does_no_harm() -> None:
    class Broken:
        def __repr__(self) -> str:
            raise RuntimeError("no")

    assert "Broken" in shown_arguments(sign_in, (Broken(),), {})


def test_a_value_that_holds_itself_does_no_harm() -> None:
    endless: dict[str, Any] = {}
    endless["me"] = endless

    assert len(shown_arguments(sign_in, (endless,), {})) < 1000
