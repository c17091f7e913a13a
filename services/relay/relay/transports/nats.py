"""Outbox rows to NATS JetStream, with the stream's word for each.

A row's subject is its exchange and routing key (`events.betting.offer.placed.v1`); the streams are declared
beforehand by `python -m tools.topology streams`. JetStream recognises an event id that it has seen within the
stream's duplicate window, so most of what a relay repeats after a crash does not even reach the consumers.

Two things of the client are not used. Its reconnection: it buffers what is published meanwhile and sends it later,
when the relay has long counted it as unconfirmed; here whoever finds the connection closed makes another. And its
`publish_async`: it never answers when a stream refuses (2.16 raises in the reader in place of telling the
future), so the answers are read here.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Iterator, Sequence
from typing import Final

import nats
from common.broker import BrokerUnavailable, Nacked, NotTaken, Rejected, Unconfirmed, Unroutable
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import BadSubjectError, MaxPayloadError
from nats.errors import Error as NatsError
from nats.js.api import Header

from relay.domain import Row

CONTENT_TYPE: Final = "application/cloudevents+json"
CONNECT_TIMEOUT_SECONDS: Final = 5
CONFIRM_TIMEOUT_SECONDS: Final = 4.0
PING_SECONDS: Final = 10
"""A silent server is noticed after two of them, if no publish notices it before."""
NOBODY_LISTENS: Final = "503"
"""The status of an answer that the server itself gives when no stream takes the subject."""

Answer = asyncio.Future[NotTaken | None]


class NatsBroker:
    """One connection, shared by the lanes. Its messages keep the order in which they are published."""

    def __init__(
        self, url: str, *, name: str, confirm_timeout_seconds: float = CONFIRM_TIMEOUT_SECONDS
    ) -> None:
        self._url = url
        self._name = name
        self._timeout_seconds = confirm_timeout_seconds
        self._connecting = asyncio.Lock()
        self._connection: _Connection | None = None

    def transport(self) -> NatsTransport:
        return NatsTransport(self, self._timeout_seconds)

    async def check(self) -> None:
        """Raises `BrokerUnavailable` unless JetStream answers."""
        connection = await self.opened()
        with _errors():
            await connection.client.jetstream(timeout=self._timeout_seconds).account_info()

    async def opened(self) -> _Connection:
        """The connection, made anew if it is closed. Raises `BrokerUnavailable`."""
        async with self._connecting:
            if self._connection is None or not self._connection.client.is_connected:
                await self.close()
                self._connection = await _connect(self._url, self._name)
            return self._connection

    async def close(self) -> None:
        """Close the connection; what is unanswered stays unanswered, and is not sent later."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.give_up()
            with contextlib.suppress(NatsError, OSError, TimeoutError):
                async with asyncio.timeout(CONNECT_TIMEOUT_SECONDS):
                    await connection.client.close()


class NatsTransport:
    """One lane's use of the connection."""

    def __init__(self, broker: NatsBroker, timeout_seconds: float) -> None:
        self._broker = broker
        self._timeout_seconds = timeout_seconds

    async def ready(self) -> None:
        await self._broker.opened()

    async def send(self, rows: Sequence[Row]) -> list[NotTaken | None]:
        connection = await self._broker.opened()
        answers: list[Answer] = []
        with contextlib.suppress(TimeoutError, NatsError, OSError):  # then some stay without an answer
            async with asyncio.timeout(self._timeout_seconds):
                for row in rows:
                    answers.append(await _published(connection, row))  # noqa: PERF401 - what was sent must be known
                await asyncio.wait(answers)
        told = [
            _told(answers[place] if place < len(answers) else None, row) for place, row in enumerate(rows)
        ]
        if any(isinstance(answer, Unconfirmed) for answer in told):
            await self._broker.close()  # an answer that comes late must be nobody's
        return told

    async def close(self) -> None:
        """The connection is the broker's to close."""


async def _published(connection: _Connection, row: Row) -> Answer:
    """Send it. What the client will not even send is refused alone: those behind it go on."""
    try:
        return await connection.publish(row)
    except (BadSubjectError, MaxPayloadError) as error:
        refused: Answer = asyncio.get_running_loop().create_future()
        refused.set_result(Rejected(repr(error)))
        return refused


class _Connection:
    """A client and the answers it waits for: each message asks for its answer at an address of its own."""

    def __init__(self, client: Client, inbox: str) -> None:
        self.client = client
        self._inbox = inbox
        self._sent = 0
        self._waiting: dict[str, Answer] = {}

    async def publish(self, row: Row) -> Answer:
        """Send it. The future ends with None or with why it was not taken; it is cancelled when nobody knows."""
        self._sent += 1
        token = str(self._sent)
        answer: Answer = asyncio.get_running_loop().create_future()
        self._waiting[token] = answer
        answer.add_done_callback(lambda _: self._waiting.pop(token, None))
        headers = {**row.headers, Header.MSG_ID: str(row.event_id), "Content-Type": CONTENT_TYPE}
        reply = f"{self._inbox}.{token}"
        try:
            await self.client.publish(_subject(row), row.body.encode(), reply=reply, headers=headers)
        except BaseException:
            answer.cancel()
            raise
        return answer

    async def hear(self, message: Msg) -> None:
        """Take an answer."""
        answer = self._waiting.get(message.subject.rpartition(".")[2])
        if answer is not None and not answer.done():
            answer.set_result(_refusal(message))

    def give_up(self) -> None:
        """Nobody will answer any more."""
        for answer in tuple(self._waiting.values()):
            answer.cancel()


async def _connect(url: str, name: str) -> _Connection:
    connection: _Connection | None = None

    async def end(_: Exception | None = None) -> None:
        if connection is not None:
            connection.give_up()

    with _errors():
        # Left alone it would try for two minutes before it says that it cannot connect.
        client = await nats.connect(
            url,
            name=name,
            allow_reconnect=False,
            max_reconnect_attempts=1,
            reconnect_time_wait=0,
            connect_timeout=CONNECT_TIMEOUT_SECONDS,
            ping_interval=PING_SECONDS,
            max_outstanding_pings=2,
            closed_cb=end,
            disconnected_cb=end,
            error_cb=end,
        )
        connection = _Connection(client, client.new_inbox())
        await client.subscribe(f"{connection._inbox}.*", cb=connection.hear)
    return connection


def _refusal(message: Msg) -> NotTaken | None:
    """What an answer says."""
    if (message.headers or {}).get(Header.STATUS) == NOBODY_LISTENS:
        return Unroutable("no stream takes this subject")
    try:
        told = json.loads(message.data)
    except ValueError:
        return Unconfirmed(f"an answer that is none: {message.data!r}")
    if "error" in told:
        return Nacked(f"the stream refused: {told['error'].get('description')}")
    return None if "stream" in told else Unconfirmed(f"an answer that is none: {told}")


def _told(answer: Answer | None, row: Row) -> NotTaken | None:
    """What became of a row when the waiting is over."""
    if answer is None:
        return Unconfirmed(f"{_subject(row)} could not be sent")
    if answer.cancel() or answer.cancelled():
        return Unconfirmed(f"no confirmation for {_subject(row)}")
    refusal = answer.result()
    return None if refusal is None else type(refusal)(f"{_subject(row)}: {refusal}")


def _subject(row: Row) -> str:
    return f"{row.exchange}.{row.routing_key}"


@contextlib.contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except (NatsError, OSError, TimeoutError) as error:
        raise BrokerUnavailable(f"the broker did not answer: {error!r}", retry_after=1) from error
