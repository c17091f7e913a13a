"""`python -m <service> deadletters list | show | replay`: the same commands in every service that consumes.

They need AMQP_URL of the service's own broker user, and nothing else of the service.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, TypeAlias

from pydantic import ValidationError

from common.amqp.deadletters import DeadLetter, DeadLetters
from common.amqp.link import Link
from common.brief import in_brief
from common.errors import DomainError
from common.settings import BrokerSettings, FromEnvironment

if TYPE_CHECKING:
    Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"

LIMIT: Final = 1_000

Act: TypeAlias = Callable[[argparse.Namespace, Sequence[str]], Coroutine[object, object, int]]


class DeadLetterSettings(FromEnvironment, BrokerSettings):
    """What the commands are told."""


def add_deadletters(commands: Commands, queues: Sequence[str]) -> None:
    """Add the commands to a service's own. `run` of the parsed arguments carries one out."""
    parser = commands.add_parser("deadletters", help="messages its consumers gave up; needs AMQP_URL")
    acts = parser.add_subparsers(required=True, metavar="act")
    listing = acts.add_parser("list", help="id, queue, type, subject, attempts and reason, oldest first")
    listing.add_argument("--json", action="store_true", help="one JSON object a line")
    showing = acts.add_parser("show", help="one whole message")
    showing.add_argument("id")
    replaying = acts.add_parser("replay", help="give messages back to their consumer")
    which = replaying.add_mutually_exclusive_group(required=True)
    which.add_argument("ids", nargs="*", default=[], metavar="id")
    which.add_argument("--all", action="store_true", help="every one that is there now")
    for act, run in ((listing, _list), (showing, _show), (replaying, _replay)):
        act.add_argument("--queue", choices=queues, help="only this queue's; otherwise all of the service")
        act.add_argument("--limit", type=int, default=LIMIT, help="look at so many of a queue at most")
        act.set_defaults(run=lambda wanted, run=run: _carried_out(run, wanted, queues))


def _carried_out(run: Act, wanted: argparse.Namespace, queues: Sequence[str]) -> int:
    try:
        status = asyncio.run(run(wanted, [wanted.queue] if wanted.queue else queues))
        sys.stdout.flush()
    except DomainError as refused:
        print(f"{refused.title}: {refused.detail}", file=sys.stderr)  # noqa: T201 - a command talks
        return 1
    except ValidationError as wrong:
        print(in_brief(wrong), file=sys.stderr)  # noqa: T201
        return 2
    except BrokenPipeError:  # whoever reads has seen enough; nothing may be flushed to them at exit either
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return status


async def _list(wanted: argparse.Namespace, queues: Sequence[str]) -> int:
    for letter in await _letters(queues, wanted.limit):
        since = letter.since.isoformat(timespec="seconds") if letter.since else ""
        if wanted.json:
            told = {"id": letter.id, "queue": letter.queue, "type": letter.type, "subject": letter.subject}
            _say(json.dumps({**told, "attempt": letter.attempt, "since": since, "reason": letter.reason}))
        else:
            _say(
                f"{letter.id}  {letter.queue}  {letter.type}  {letter.subject}  attempt {letter.attempt}"
                f"{f'  {since}' if since else ''}\n    {letter.reason}"
            )
    return 0


async def _show(wanted: argparse.Namespace, queues: Sequence[str]) -> int:
    found = [letter for letter in await _letters(queues, wanted.limit) if letter.id == wanted.id]
    for letter in found:
        _say(
            f"queue    {letter.queue}\nattempt  {letter.attempt}\nreason   {letter.reason}\n{letter.pretty()}"
        )
    return 0 if found else _missing([wanted.id])


async def _replay(wanted: argparse.Namespace, queues: Sequence[str]) -> int:
    replayed: list[str] = []
    async with _linked() as link:
        for queue in queues:
            replayed += await DeadLetters(link, queue).replay(
                None if wanted.all else wanted.ids, wanted.limit
            )
    for given_back in replayed:
        _say(f"{given_back} given back")
    return _missing([wanted_id for wanted_id in wanted.ids if wanted_id not in replayed])


async def _letters(queues: Sequence[str], limit: int) -> list[DeadLetter]:
    async with _linked() as link:
        return [letter for queue in queues for letter in await DeadLetters(link, queue).listed(limit)]


@asynccontextmanager
async def _linked() -> AsyncIterator[Link]:
    link = Link(DeadLetterSettings().amqp_url.get_secret_value(), name="deadletters")
    try:
        yield link
    finally:
        await link.close()


def _missing(ids: Sequence[str]) -> int:
    for each in ids:
        print(f"{each} is no dead letter here", file=sys.stderr)  # noqa: T201
    return 1 if ids else 0


def _say(text: str) -> None:
    print(text)  # noqa: T201
