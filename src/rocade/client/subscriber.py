"""The subscriber: events to handlers and iterators, each in the order in which they were published."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Coroutine
from copy import deepcopy
from typing import TYPE_CHECKING, Any

from rocade.client.channel import Channel
from rocade.client.codec import Event as EventMessage
from rocade.client.codec import Unreadable
from rocade.client.details import Event, EventDetails
from rocade.client.handlers import Handler, Kind
from rocade.client.inbox import MAX_BYTES, MAX_ITEMS, Inbox, NothingMore
from rocade.client.options import SubscribeOptions
from rocade.client.tasks import start_task
from rocade.client.threads import NoThreads, Threads
from rocade.errors import ApplicationError, InvalidArgument
from rocade.wamp.messages import Match, Subscribe, Subscribed, Unsubscribe, Unsubscribed

if TYPE_CHECKING:
    from rocade.client.session import Session

__all__ = ["EventStream", "Subscriber", "Subscription"]

logger = logging.getLogger("rocade.client")


class Subscription:
    """One handler's, or one iterator's, subscription.

    Attributes:
        topic: the topic or pattern.
        options: as it was asked for.
        id: the router's; 0 while there is no session.
        dropped: events that came faster than they were handled, and were dropped.
    """

    def __init__(self, subscriber: Subscriber, topic: str, options: SubscribeOptions, *, is_kept: bool) -> None:
        """Made by `Session.subscribe` and `Session.events`."""
        self.topic = topic
        self.options = options
        self.id = 0
        self.inbox: Inbox[EventMessage] = Inbox(MAX_ITEMS, MAX_BYTES)
        self.is_kept = is_kept
        self.is_active = True
        self._subscriber = subscriber
        self._has_complained = False

    def __repr__(self) -> str:
        return f"<Subscription {self.topic!r}>"

    @property
    def dropped(self) -> int:
        """See the class."""
        return self.inbox.dropped

    async def unsubscribe(self) -> None:
        """End the subscription. Events that have arrived, but are not handled yet, are dropped."""
        if self.is_active:
            self.is_active = False
            self.inbox.end()
            await self._subscriber.remove(self)

    def take(self, message: EventMessage, size: int) -> None:
        """An event has arrived."""
        if not self.inbox.put(message, size) and not self._has_complained:
            self._has_complained = True
            logger.warning("events of %r are dropped: they come faster than they are handled", self.topic)


class _HandledSubscription(Subscription):
    """A subscription with a handler. Events are handled one after the other, without a task for each."""

    def __init__(
        self, subscriber: Subscriber, handler: Handler, topic: str, options: SubscribeOptions, *, is_kept: bool
    ) -> None:
        super().__init__(subscriber, topic, options, is_kept=is_kept)
        self._handler = handler
        self._task: asyncio.Task[None] | None = None

    def take(self, message: EventMessage, size: int) -> None:
        super().take(message, size)
        if self._task is None:
            task = self._subscriber.start(self._handle_all())
            # It may have come to its end already.
            self._task = None if task.done() else task

    async def _handle_all(self) -> None:
        """Handle what is there, and end: a task that waits for more would have to be stopped."""
        try:
            while len(self.inbox) and self.is_active:
                await self._subscriber.handle(self, self._handler, self.inbox.pop())
        finally:
            self._task = None


class Subscriber:
    """Subscriptions of one client."""

    def __init__(self, channel: Channel, session: Session, threads: Threads) -> None:
        """
        Args:
            channel: the client's messages.
            session: for the details of events.
            threads: where plain functions run.
        """
        self._channel = channel
        self._session = session
        self._threads = threads
        # subscription id -> subscriptions
        self._by_id: dict[int, list[Subscription]] = {}
        self._all: dict[Subscription, None] = {}
        # (topic, match) -> SUBSCRIBEs under way
        self._under_way: dict[tuple[str, Match | None], int] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        channel.handlers[EventMessage] = self._event
        channel.handlers[Unsubscribed] = self._unsubscribed
        self._answered = channel.handlers[Subscribed]
        channel.on_lost.append(self._lost)

    async def subscribe(
        self, function: Callable[..., Any], topic: str, options: SubscribeOptions, *, is_kept: bool
    ) -> Subscription:
        """See `Session.subscribe`."""
        handler = Handler(function)
        if handler.kind in (Kind.ASYNC_GENERATOR, Kind.GENERATOR):
            raise TypeError(f"{handler.name} is a generator: an event has no results")
        subscription = _HandledSubscription(self, handler, topic, options, is_kept=is_kept)
        await self.add(subscription)
        return subscription

    async def events(self, topic: str, options: SubscribeOptions, *, is_kept: bool) -> AsyncGenerator[Any, None]:
        """None once there is a subscription, and then the events, see `EventStream`."""
        subscription = Subscription(self, topic, options, is_kept=is_kept)
        await self.add(subscription)
        try:
            yield None
            while True:
                try:
                    message = await subscription.inbox.get()
                except NothingMore:
                    return
                yield Event(args=message.args, kwargs=message.kwargs, **self._details(subscription, message))
        finally:
            await subscription.unsubscribe()

    async def add(self, subscription: Subscription) -> None:
        """Have the router send events; those that follow its answer at once are not missed."""
        key = subscription.topic, subscription.options.match
        self._under_way[key] = self._under_way.get(key, 0) + 1

        def subscribed(message: Subscribed) -> None:
            subscribed_too = self._by_id.setdefault(message.subscription, [])
            if subscription.is_active:
                subscription.id = message.subscription
                self._all[subscription] = None
                if subscription not in subscribed_too:
                    subscribed_too.append(subscription)
            else:  # nobody waited for it in the end
                self._unsubscribe_unless_needed(message.subscription, key)

        try:
            await self._channel.request(Subscribe, subscription.options, subscription.topic, then=subscribed)
        except BaseException:
            if subscription not in self._all:
                subscription.is_active = False
            raise
        finally:
            self._under_way[key] -= 1
            if not self._under_way[key]:
                del self._under_way[key]

    def _unsubscribe_unless_needed(self, id: int, key: tuple[str, Match | None]) -> None:
        if not self._by_id[id] and self._under_way.get(key, 0) <= 1:
            del self._by_id[id]
            self._channel.request_unheard(Unsubscribe, id)

    async def remove(self, subscription: Subscription) -> None:
        """End a subscription; the router is told with the last one of its id."""
        self._all.pop(subscription, None)
        others = self._by_id.get(subscription.id, [])
        if subscription not in others:
            return
        others.remove(subscription)
        key = subscription.topic, subscription.options.match
        if others or key in self._under_way:
            return
        del self._by_id[subscription.id]
        if self._channel.is_open:
            await self._channel.request(Unsubscribe, subscription.id)

    async def restore(self) -> None:
        """Subscribe again, in a new session."""
        for subscription in [subscription for subscription in self._all if not subscription.is_kept]:
            self._all.pop(subscription)
            subscription.is_active = False
            subscription.inbox.end()
        for subscription in list(self._all):
            if subscription.is_active and not subscription.id:
                try:
                    await self.add(subscription)
                except ApplicationError as error:
                    logger.error("%r could not be subscribed to again: %s", subscription.topic, error)

    # --- events -----------------------------------------------------------------------------------

    def _event(self, message: EventMessage) -> None:
        subscriptions = self._by_id.get(message.subscription)
        if not subscriptions:
            return  # it was under way when the last one unsubscribed
        if type(message.args) is Unreadable:
            logger.warning("an event of %r is dropped: %s", subscriptions[0].topic, message.args[0])
            return
        size = self._channel.size
        if len(subscriptions) == 1:
            subscriptions[0].take(message, size)
            return
        for subscription in subscriptions:
            # Each with values of its own, which it may change.
            subscription.take(deepcopy(message), size)

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run a coroutine beside what is received."""
        task = start_task(self._channel.loop, work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def handle(self, subscription: Subscription, handler: Handler, message: EventMessage) -> None:
        """Have an event handled; what goes wrong is the handler's affair, and logged."""
        try:
            args, kwargs = handler.bind(message.args, message.kwargs)
            if handler.wants_details:
                args = (EventDetails(**self._details(subscription, message)), *args)
            if handler.kind is Kind.COROUTINE:
                await handler.function(*args, **kwargs)
            else:
                await self._threads.run(handler.function, args, kwargs)
        except InvalidArgument as error:
            logger.error("%s does not take an event of %r: %s", handler.name, subscription.topic, error)
        except NoThreads:
            logger.debug("an event of %r is dropped, since the program ends", subscription.topic)
        except Exception:
            topic = message.details.topic or subscription.topic
            logger.exception("%s failed on an event of %r, publication %d", handler.name, topic, message.publication)

    def _details(self, subscription: Subscription, message: EventMessage) -> dict[str, Any]:
        details = message.details
        return {
            "session": self._session,
            "topic": details.topic or subscription.topic,
            "publication": message.publication,
            "publisher": details.publisher,
            "publisher_authid": details.publisher_authid,
            "publisher_authrole": details.publisher_authrole,
            "trustlevel": details.trustlevel,
            "retained": bool(details.retained),
        }

    # --- the end ----------------------------------------------------------------------------------

    def _unsubscribed(self, message: Unsubscribed) -> None:
        if message.request:
            self._answered(message)
            return
        # The router ended it (subscription revocation).
        id = message.details.subscription if message.details is not None else None
        for subscription in self._by_id.pop(id or 0, []):
            subscription.is_active = False
            subscription.inbox.end()
            self._all.pop(subscription, None)
            logger.warning("the router ended the subscription of %r", subscription.topic)

    def _lost(self, error: Exception) -> None:
        self._by_id.clear()
        is_over = self._channel.end is not None
        for subscription in self._all:
            subscription.id = 0
            if is_over:
                subscription.is_active = False
                subscription.inbox.end()
        if is_over:
            self._all.clear()

    def close(self) -> list[asyncio.Task[None]]:
        """Cancel handlers that run, except for whoever calls this; those to wait for."""
        tasks = [task for task in self._tasks if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        return tasks


class EventStream:
    """Events of a topic, for `async for`; with `async with` around it the subscription begins and ends there.

    Without, it begins with the first event that is asked for, and ends soon after the loop is left.
    """

    def __init__(self, events: AsyncGenerator[Any, None]) -> None:
        """Made by `Session.events`."""
        self._events = events
        self._has_begun = False

    def __aiter__(self) -> EventStream:
        return self

    async def __anext__(self) -> Event:
        await self._begin()
        event: Event = await anext(self._events)
        return event

    async def __aenter__(self) -> EventStream:
        await self._begin()
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Unsubscribe."""
        await self._events.aclose()

    async def _begin(self) -> None:
        if not self._has_begun:
            self._has_begun = True
            await anext(self._events)
