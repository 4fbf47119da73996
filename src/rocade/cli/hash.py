"""`rocade hash`: what the configuration may hold instead of a secret."""

from __future__ import annotations

import base64
import json
import secrets
import sys

import click


def _secret(what: str) -> str:
    """The secret: asked for on a terminal, without showing it; otherwise the first line of standard input."""
    if sys.stdin.isatty():
        secret: str = click.prompt(what, hide_input=True, confirmation_prompt=True, err=True)
    else:
        secret = sys.stdin.readline().removesuffix("\n")
    if not secret:
        raise click.UsageError("there is nothing to hash: it is read from the terminal or from standard input")
    return secret


def _show(**keys: object) -> None:
    click.echo(json.dumps(keys, indent=2))


@click.group("hash")
def hash_() -> None:
    """Make of a secret what the configuration file may hold instead of it.

    The secret is asked for, or read from standard input.
    """


@hash_.command()
@click.option("--argon2", is_flag=True, help='Argon2id instead of PBKDF2; needs "rocade[argon2]".')
def ticket(*, argon2: bool) -> None:
    """A ticket, as one that cannot be had back from it."""
    from rocade.serve.authentication.hashes import hash_ticket

    _show(**{"ticket-hash": hash_ticket(_secret("Ticket"), argon2=argon2)})


@hash_.command()
@click.option("--iterations", type=click.IntRange(1, 10_000_000), default=100_000, show_default=True)
@click.option("--keylen", type=click.IntRange(16, 64), default=32, show_default=True)
def wampcra(*, iterations: int, keylen: int) -> None:
    """A password, as the key that WAMP-CRA derives from it; it lets anybody in who has it, but is no password."""
    from rocade.serve.authentication.wampcra import Salt, derived_key

    salt = base64.b64encode(secrets.token_bytes(16)).decode()
    key = derived_key(_secret("Password"), Salt(salt, iterations, keylen)).decode()
    _show(**{"derived-key": key, "salt": salt, "iterations": iterations, "keylen": keylen})
