"""`rocade hash`: what the configuration may hold instead of a secret."""

from __future__ import annotations

import base64
import json
import secrets
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rocade.serve.authentication.scram import Kdf


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


@click.group("hash", short_help="Hash a secret for a configuration file.")
def hash_() -> None:
    """Make of a secret what the configuration file may hold instead of it.

    The secret is asked for, or read from standard input.
    """


@hash_.command(short_help="A ticket.")
@click.option("--argon2", is_flag=True, help='Argon2id instead of PBKDF2; needs "rocade[argon2]".')
def ticket(*, argon2: bool) -> None:
    """A ticket, as one that cannot be had back from it."""
    from rocade.serve.authentication.hashes import hash_ticket

    _show(**{"ticket-hash": hash_ticket(_secret("Ticket"), argon2=argon2)})


@hash_.command(short_help="A password for WAMP-CRA.")
@click.option("--iterations", type=click.IntRange(1, 10_000_000), default=100_000, show_default=True)
@click.option("--keylen", type=click.IntRange(16, 64), default=32, show_default=True)
def wampcra(*, iterations: int, keylen: int) -> None:
    """A password, as the key that WAMP-CRA derives from it; it lets anybody in who has it, but is no password."""
    from rocade.serve.authentication.wampcra import Salt, derived_key

    salt = base64.b64encode(secrets.token_bytes(16)).decode()
    key = derived_key(_secret("Password"), Salt(salt, iterations, keylen)).decode()
    _show(**{"derived-key": key, "salt": salt, "iterations": iterations, "keylen": keylen})


@hash_.command(short_help="A password for SCRAM.")
@click.option(
    "--kdf",
    type=click.Choice(["argon2id-13", "argon2id13", "pbkdf2"]),
    default="argon2id-13",
    show_default=True,
    help='Argon2id as Crossbar\'s clients do it, Argon2id as the specification has it (both need "rocade[argon2]"), '
    "or PBKDF2.",
)
@click.option("--iterations", type=click.IntRange(1, 10_000_000), help="Default: 3 for Argon2, 100000 for PBKDF2.")
@click.option("--memory", type=click.IntRange(8, 4 * 1024 * 1024), default=19456, show_default=True, help="KiB.")
def scram(*, kdf: Kdf, iterations: int | None, memory: int) -> None:
    """A password, as what a router has to know to check it; it lets nobody in."""
    from rocade.serve.authentication.scram import scram_proof

    is_argon2 = kdf != "pbkdf2"
    if is_argon2 and find_spec("argon2") is None:
        raise click.UsageError(f'{kdf} needs argon2-cffi: pip install "rocade[argon2]"; or choose --kdf pbkdf2')
    rounds = iterations or (3 if is_argon2 else 100_000)
    proof = scram_proof(_secret("Password"), kdf, secrets.token_bytes(16), rounds, memory if is_argon2 else None)
    keys = {"kdf": kdf, "salt": proof.salt.hex(), "iterations": rounds, "memory": proof.memory or 0}
    _show(**keys, **{"stored-key": proof.stored_key.hex(), "server-key": proof.server_key.hex()})
