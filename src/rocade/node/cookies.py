"""The cookies of a transport or path, in the configuration file."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from rocade.node.section import FilePath, Section, ineffective

__all__ = ["CookieSettings", "FileCookies", "MemoryCookies"]


class MemoryCookies(Section, kw_only=True, frozen=True, tag_field="type", tag="memory"):
    """Logins are forgotten when the router ends. All services with this kind of store share one."""


class FileCookies(Section, kw_only=True, frozen=True, tag_field="type", tag="file"):
    """Logins are kept in an SQLite file. Services that name the same file share it. Crossbar's is of another format."""

    filename: Annotated[FilePath, Meta(description="The file. Relative to the configuration file.")]
    purge_on_startup: Annotated[
        bool, ineffective(False, "what has expired is deleted at every start", "Deletes what has expired.")
    ] = False


class CookieSettings(Section, kw_only=True, frozen=True):
    """What a cookie is like."""

    name: Annotated[
        str,
        Meta(
            pattern="^[A-Za-z0-9_-]+$",
            description="Its name. One that begins with `__Host-` (over TLS only) is safe from other hosts of the same "
            "domain.",
        ),
    ] = "cbtid"
    length: Annotated[
        int, Meta(ge=6, le=64, description="Characters of its value; less than 24 are 24, or it could be guessed.")
    ] = 24
    max_age: Annotated[int, Meta(ge=1, le=86400 * 3600, description="Seconds that a login is remembered.")] = 86400 * 7
    secure: Annotated[
        bool | None,
        Meta(
            description="Whether browsers send it over TLS only. Left out: if the endpoint has TLS. Behind a proxy "
            "that ends TLS, say `true`."
        ),
    ] = None
    http_strict: Annotated[
        bool, Meta(description="Whether it is hidden from scripts (`HttpOnly`). Crossbar's default is `false`.")
    ] = True
    same_site: Annotated[
        Literal["Strict", "Lax", "None"],
        Meta(
            description="Which pages have browsers send it. `Strict` and `Lax`: those of the same site. `None`: all "
            "that `allowed_origins` lists by name; over TLS only. Crossbar has none, which browsers take for `Lax`."
        ),
    ] = "Strict"
    store: Annotated[
        MemoryCookies | FileCookies,
        Meta(
            description="Where logins are remembered.",
            extra={"refused": {"database": "'database' stores are not supported; 'file' is one"}},
        ),
    ] = MemoryCookies()
