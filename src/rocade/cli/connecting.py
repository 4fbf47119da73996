"""What the commands that are clients have in common: their options, a session, and how they end."""

from __future__ import annotations

import os
import signal
import stat
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from rocade.cli.payload import json_line, one_line, show

if TYPE_CHECKING:
    from rocade.client.authentication import Credentials
    from rocade.client.connect import Connecting
    from rocade.client.session import Session

__all__ = ["MATCH", "REFUSED", "ClientCommand", "Connection", "client_options", "run"]

REFUSED = 1
"""Exit code for what the router or the callee answers with an error."""

MATCH = click.Choice(["exact", "prefix", "wildcard"])
LOGINS = ("ticket", "wampcra", "scram", "cryptosign", "jwt")
SECRET = "ROCADE_SECRET"
"""Environment variable with a secret."""

T = TypeVar("T")
Work = Callable[["Session"], Awaitable[int | None]]
"""What a command does with its session; it returns the exit code, None for 0."""


class ClientCommand(click.Command):
    """A command whose arguments may begin with a dash."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Say what to do about them, since click takes them for options."""
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            raise click.UsageError(
                f"{error.format_message()} Arguments that begin with a dash go behind '--'.", ctx
            ) from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """Where a command connects to, and as whom; its fields are the options of the same names.

    Attributes:
        url: the router's.
        realm: name of the realm.
        serializer: what is spoken; None leaves it to the router.
        ca: file with the authorities to trust.
        user: the authid.
        login: authentication method; None is anonymous.
        secret_file: file with the secret, which is otherwise in the environment.
    """

    url: str
    realm: str
    serializer: str | None
    ca: str | None
    user: str | None
    login: str | None
    secret_file: str | None

    def credentials(self) -> Credentials | None:
        """Who the client is; None is anonymous.

        Raises:
            click.UsageError: something is missing or cannot be read.
        """
        from rocade.client.authentication import Cryptosign, Jwt, Scram, Ticket, WampCra

        if self.login is None:
            if self.user is not None or self.secret_file is not None:
                raise click.UsageError(f"--user and --secret-file take --login: one of {', '.join(LOGINS)}")
            return None
        if self.login == "cryptosign":
            return self._checked(lambda: Cryptosign(self._secret(), authid=self.user))
        if self.login == "jwt":
            return Jwt(self._secret(), authid=self.user)
        if self.user is None:
            raise click.UsageError(f"--login {self.login} takes --user")
        kinds: dict[str, type[Ticket | WampCra | Scram]] = {"ticket": Ticket, "wampcra": WampCra, "scram": Scram}
        return kinds[self.login](self.user, self._secret())

    def _secret(self) -> str:
        if self.secret_file is not None:
            return self._checked(lambda: Path(str(self.secret_file)).read_text(encoding="utf-8")).rstrip("\r\n")
        secret = os.environ.get(SECRET)
        if not secret:
            raise click.UsageError(f"--login takes a secret: in {SECRET}, or in a file: --secret-file FILE")
        return secret

    def _checked(self, read: Callable[[], T]) -> T:
        where = self.secret_file or SECRET
        try:
            return read()
        except OSError as error:
            raise click.UsageError(f"{where}: cannot be read: {error.strerror}") from None
        except UnicodeDecodeError:
            raise click.UsageError(f"{where}: is no text") from None
        except ValueError as error:
            raise click.UsageError(f"{where}: {error}") from None


_OPTIONS = (
    click.option(
        "--url",
        metavar="URL",
        envvar="ROCADE_URL",
        default="ws://127.0.0.1:8080/ws",
        show_default=True,
        show_envvar=True,
        help="The router's: ws:, wss:, rs:, rss: (RawSocket), unix: or ws+unix:.",
    ),
    click.option(
        "--realm",
        metavar="NAME",
        envvar="ROCADE_REALM",
        default="realm1",
        show_default=True,
        show_envvar=True,
        help="The realm's name.",
    ),
    click.option(
        "--serializer", type=click.Choice(["json", "msgpack", "cbor"]), help="What is spoken; the router chooses."
    ),
    click.option("--ca", metavar="FILE", help="Certificates of the authorities to trust, in PEM."),
    click.option("--user", metavar="NAME", help="Who you are (authid)."),
    click.option("--login", type=click.Choice(LOGINS), help="How you prove it; without, you are anonymous."),
    click.option(
        "--secret-file", metavar="FILE", help=f"File with the ticket, password, key or token; otherwise in {SECRET}."
    ),
    click.option("--json", "as_json", is_flag=True, help="One JSON value per line, for programs."),
)


def client_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Decorator: the options of all clients, which the function gets as `connection`, and `as_json`."""

    def gathered(**options: Any) -> Any:
        chosen = {field.name: options.pop(field.name) for field in fields(Connection)}
        return command(connection=Connection(**chosen), **options)

    gathered.__doc__ = command.__doc__
    gathered.__name__ = command.__name__
    gathered.__click_params__ = getattr(command, "__click_params__", [])  # type: ignore[attr-defined]
    for option in reversed(_OPTIONS):
        gathered = option(gathered)
    return gathered


def run(connection: Connection, work: Work, *, as_json: bool, stays: bool = False) -> int:
    """Open a session, do something in it, and leave.

    Args:
        connection: where to.
        work: what to do.
        as_json: whether errors are told as JSON.
        stays: whether it goes on when the connection is lost; otherwise a router that is not there is an error at once.
    Returns:
        The exit code.
    Raises:
        click.UsageError: there is no session.
        KeyboardInterrupt: Ctrl-C.
    """
    import asyncio

    from rocade.errors import ApplicationError, ConnectionLost, RocadeError, SessionClosed

    try:
        return asyncio.run(_session(_connecting(connection, stays), work))
    except BrokenPipeError:
        # Who read has had enough. What Python still has for it is not worth an error at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except _Terminated:
        os.kill(os.getpid(), signal.SIGTERM)
        return 128 + signal.SIGTERM
    except (ApplicationError, ConnectionLost, SessionClosed) as error:
        _tell(error, as_json=as_json)
        return REFUSED
    except RocadeError as error:
        raise click.UsageError(f"{error} ({error.uri})") from None


class _Terminated(Exception):
    """SIGTERM has come."""


async def _session(connecting: Connecting, work: Work) -> int:
    import asyncio

    task = asyncio.current_task()
    assert task is not None
    loop = asyncio.get_running_loop()
    ends: list[Exception] = []

    def end(why: Exception) -> None:
        ends.append(why)
        task.cancel()

    with suppress(NotImplementedError):
        loop.add_signal_handler(signal.SIGTERM, end, _Terminated())
    output = _output_pipe()
    if output is not None:

        def reader_is_gone() -> None:
            loop.remove_reader(output)
            end(BrokenPipeError())

        # A pipe's end for writing is never readable: this is called when the other end is closed.
        loop.add_reader(output, reader_is_gone)
    try:
        async with connecting as session:
            return await work(session) or 0
    except asyncio.CancelledError:
        if ends:
            raise ends[0] from None
        raise
    finally:
        if output is not None:
            loop.remove_reader(output)


def _connecting(connection: Connection, stays: bool) -> Connecting:
    from rocade.client.connect import connect

    try:
        return connect(
            connection.url,
            connection.realm,
            credentials=connection.credentials(),
            serializer=connection.serializer,
            tls=connection.ca,
            reconnect=stays,
            on_resume=_told("connected again"),
            on_disconnect=_told("the connection is lost") if stays else None,
        )
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    except OSError as error:
        raise click.UsageError(f"--ca: {str(error).removeprefix('tls: ')}") from None


def _told(what: str) -> Callable[..., None]:
    def tell(session: Session, reason: str = "") -> None:
        if reason != "closed":
            show(f"rocade: {what}{reason and ': '}{reason}", err=True)

    return tell


def _output_pipe() -> int | None:
    """The descriptor of standard output, if somebody reads it who may stop to."""
    try:
        descriptor = sys.stdout.fileno()
        return descriptor if stat.S_ISFIFO(os.fstat(descriptor).st_mode) else None
    except (AttributeError, OSError, ValueError):
        return None


def _tell(error: Any, *, as_json: bool) -> None:
    args, kwargs = list(error.args), dict(getattr(error, "kwargs", {}))
    if as_json:
        show(json_line({"error": error.uri, "args": args, "kwargs": kwargs}), err=True)
        return
    if len(args) == 1 and isinstance(args[0], str) and not kwargs:
        text = " ".join(args[0].split())
    else:
        text = one_line(args, kwargs)
    show(f"rocade: {error.uri}{text and ': '}{text}", err=True)
