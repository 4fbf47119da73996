"""`rocade keygen`: a new pair of keys for logins by cryptosign."""

from __future__ import annotations

import os

import click


@click.command(short_help="Make a private key and its public key.")
@click.argument("file", type=click.Path(dir_okay=False))
def keygen(*, file: str) -> None:
    """Write a new private key to FILE, and show the public key, for `authorized_keys`.

    The file, which only you may read, has the 32 bytes of the key in hexadecimal; it is never overwritten. It is for
    the client; the router needs the public key only.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise click.UsageError(f"{file!r} cannot be written: {error.strerror}") from None
    with os.fdopen(descriptor, "w", encoding="ascii") as output:
        output.write(key.private_bytes_raw().hex() + "\n")
    click.echo(key.public_key().public_bytes_raw().hex())
