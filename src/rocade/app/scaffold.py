"""What may be declared: procedures, event handlers, signals, hooks and files, before anything runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, overload

from rocade.app.declarations import (
    InvokePolicy,
    MatchPolicy,
    Procedure,
    Subscription,
    check_callable,
    derived_uri,
    place,
)
from rocade.app.http import Http
from rocade.app.lifecycle import Listeners, SignalName, check_hook, check_signal
from rocade.app.parameters import check_parameters
from rocade.wamp.uris import is_reserved, is_uri, shown

__all__ = ["Scaffold"]

F = TypeVar("F", bound=Callable[..., Any])


class Scaffold:
    """The decorators of an application, and what they have collected.

    Attributes:
        name: what the names of its procedures begin with.
        http: what is served over HTTP beside them.
        procedures, subscriptions, signals, hooks: what has been declared.
    """

    def __init__(self, name: str = "") -> None:
        """
        Args:
            name: one or more components of a URI, such as "demo"; "" to derive names from functions alone.
        Raises:
            TypeError: it is no text.
            ValueError: no URI can begin with the name, or it is "__main__", which others could not rely on.
        """
        if not isinstance(name, str):
            raise TypeError(f"the name of an application is a str, not {name!r}")
        if name == "__main__":
            raise ValueError(
                "'__main__' is what Python calls whichever file it runs: name the application, as in 'demo'"
            )
        if name and (not is_uri(name) or is_reserved(name)):
            raise ValueError(f"{shown(name)} cannot be the name of an application: no URI can begin with it")
        self.name = name
        self.http = Http(self)
        self.procedures: list[Procedure] = []
        self.subscriptions: list[Subscription] = []
        self.signals = Listeners()
        self.hooks = Listeners()

    @property
    def is_running(self) -> bool:
        """Whether it has been started, and not stopped yet; then nothing can be declared."""
        return False

    @overload
    def register(self, function: F, /) -> F: ...

    @overload
    def register(
        self,
        procedure: str | None = None,
        /,
        *,
        match: MatchPolicy = "exact",
        invoke: InvokePolicy = "single",
        disclose_caller: bool = True,
        concurrency: int | None = None,
        limit_calls: int | None = None,
        timeout: float | None = None,
    ) -> Callable[[F], F]: ...

    def register(self, procedure: Any = None, /, **options: Any) -> Any:
        """Decorator: let others call a function.

        `@app.register`, `@app.register()`, `@app.register("demo.uuid", invoke="roundrobin")`.

        Args:
            procedure: the whole URI; derived from the application and the function by default.
            match: whether the URI is one procedure ("exact"), the beginning of some ("prefix"), or has components
                that stand for anything ("wildcard", as in "demo..get").
            invoke: how several callees share the procedure: not at all ("single"), or in turn ("roundrobin") …
            disclose_caller: ask the router who calls.
            concurrency: how many calls of it this application works on at once; the router keeps back the others.
            limit_calls: unregister after so many calls. The count is exact; a call too many is answered as if there
                were no such procedure.
            timeout: seconds that a call may take; then it is canceled, and answered with wamp.error.timeout. A plain
                function cannot be stopped: its thread goes on, for nobody.
        Raises:
            ValueError: the URI or an option cannot be used.
            TypeError: there is no such option.
            RuntimeError: the application runs already.
        """
        if callable(procedure):
            return self.register()(procedure)
        check_parameters("@app.register", options, Procedure.OPTIONS)

        def decorate(function: F) -> F:
            self.check_setup("@app.register", "write await app.session.register(function, uri)")
            check_callable(function)
            uri = derived_uri(self.name, function) if procedure is None else procedure
            declared = Procedure(function=function, uri=uri, **options)
            for other in self.procedures:
                if (other.uri, other.match) == (declared.uri, declared.match):
                    raise ValueError(f"{shown(uri)} is registered already, as {place(other.function)}")
            self.procedures.append(declared)
            return function

        return decorate

    @overload
    def subscribe(self, function: F, /) -> F: ...

    @overload
    def subscribe(
        self,
        topic: str | None = None,
        /,
        *,
        match: MatchPolicy = "exact",
        get_retained: bool = False,
        concurrency: int | None = None,
        limit_calls: int | None = None,
        timeout: float | None = None,
        debounce: float | None = None,
        throttle: float | None = None,
    ) -> Callable[[F], F]: ...

    def subscribe(self, topic: Any = None, /, **options: Any) -> Any:
        """Decorator: call a function with events.

        `@app.subscribe("demo.ping")`, `@app.subscribe("demo.", match="prefix", limit_calls=3)`.

        Args:
            topic: the whole URI; derived from the application and the function by default.
            match: whether the URI is one topic ("exact"), the beginning of some ("prefix"), or has components that
                stand for anything ("wildcard", as in "demo..moved").
            get_retained: begin with the event that was kept for newcomers, if there is one.
            concurrency: how many runs of the function go on at once; further events wait.
            limit_calls: unsubscribe after so many runs. The count is exact.
            timeout: seconds that a run may take; then it is canceled, which the log tells.
            debounce: run once no event has come for so many seconds, with the last one.
            throttle: run at most once in so many seconds, with the latest event; the first runs at once.
        Raises:
            ValueError: the URI or an option cannot be used.
            TypeError: there is no such option.
            RuntimeError: the application runs already.
        """
        if callable(topic):
            return self.subscribe()(topic)
        check_parameters("@app.subscribe", options, Subscription.OPTIONS)

        def decorate(function: F) -> F:
            self.check_setup("@app.subscribe", "write await app.session.subscribe(handler, topic)")
            check_callable(function)
            uri = derived_uri(self.name, function) if topic is None else topic
            self.subscriptions.append(Subscription(function=function, uri=uri, **options))
            return function

        return decorate

    def signal(self, name: SignalName, /) -> Callable[[F], F]:
        """Decorator: call a function when something happens to the session, each time that it happens.

        - "onconnect": there is a connection to the router.
        - "onjoined": the session is there, and everything is registered and subscribed. A coroutine function may go
          on for as long as the session does, and is canceled when that ends; a plain one is waited for.
        - "onleave": the session has ended.
        - "ondisconnect": the connection is gone.

        The function gets the session, and at the last two the reason, if it has parameters for them.

        Args:
            name: the signal.
        Raises:
            ValueError: there is no such signal.
            RuntimeError: the application runs already.
        """
        check_signal(name)

        def decorate(function: F) -> F:
            self.check_setup("@app.signal")
            check_callable(function)
            self.signals.add(name, function)
            return function

        return decorate

    def on(self, name: str, /) -> Callable[[F], F]:
        """Decorator: call a function when something happens to the application, or when `emit` says so.

        Rocade emits, each once in a run and in this order, and waits for the functions one after the other:

        - "app.starting": before there is any connection. If a function fails, the application does not start.
        - "app.ready": after the first "onjoined"; the application is at work. The same holds.
        - "app.stopping": the session is still there.
        - "app.stopped": it is not there any more.

        Args:
            name: one of these, or a name of your own.
        Raises:
            ValueError: it begins with "app." and is none of these.
            RuntimeError: the application runs already.
        """
        check_hook(name)

        def decorate(function: F) -> F:
            self.check_setup("@app.on")
            check_callable(function)
            self.hooks.add(name, function)
            return function

        return decorate

    def check_setup(self, what: str, instead: str = "") -> None:
        """Refuse a declaration while the application runs.

        Args:
            what: the declaration.
            instead: what to do in a running application.
        Raises:
            RuntimeError: it runs.
        """
        if self.is_running:
            text = f"{self!r} runs already: {what} belongs above app.run(), where the module is loaded"
            raise RuntimeError(f"{text}; in a running application, {instead}" if instead else text)
