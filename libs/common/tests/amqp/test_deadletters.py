"""Dead letters: seen, shown and given back, with a real broker and the command as an operator types it."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys

import pytest
from common.amqp import Delivery, Message, Poison
from common.amqp.console import add_deadletters
from common.amqp.deadletters import DeadLetters
from common.amqp.names import dead_queue
from common.testing import stack

from libs.common.tests.amqp.conftest import Bench, Event, eventually


@pytest.fixture
async def letters(bench: Bench) -> list[Event]:
    """Three events that the consumer gave up, because there is no market two."""

    async def refuse(delivery: Delivery) -> None:
        raise Poison(f"no such market: {delivery.envelope.sequence}")

    events = [bench.event(f"markets/{n}", n) for n in range(3)]
    await bench.publish(*events)

    async def all_are_dead() -> bool:
        return await bench.waiting(dead_queue(bench.queue)) == len(events)

    async with bench.consumer(refuse).running():
        await eventually(all_are_dead)
    return events


async def test_looking_shows_why_and_leaves_everything(bench: Bench, letters: list[Event]) -> None:
    dead = DeadLetters(bench.link, bench.queue)
    for _ in range(2):
        found = {letter.id: letter for letter in await dead.listed(10)}
        assert set(found) == {str(event.id) for event in letters}
        first = found[str(letters[0].id)]
        assert (first.reason, first.attempt) == ("Poison: no such market: 0", 1)
        assert (first.type, first.subject) == (letters[0].type, "markets/0")
    assert len(await dead.listed(2)) == 2


async def test_a_replayed_letter_is_handled_as_if_new(bench: Bench, letters: list[Event]) -> None:
    attempts: list[int] = []

    async def repaired(delivery: Delivery) -> None:
        attempts.append(delivery.attempt)
        await bench.note(delivery)

    chosen = str(letters[1].id)
    async with bench.consumer(repaired).running():
        assert await DeadLetters(bench.link, bench.queue).replay([chosen], 10) == [chosen]
        await bench.handled_all(1)
    assert (bench.handled, attempts) == ([("markets/1", 1)], [1])
    assert {letter.id for letter in await DeadLetters(bench.link, bench.queue).listed(10)} == {
        str(letters[0].id),
        str(letters[2].id),
    }


async def test_replaying_all_gives_everything_back_once(bench: Bench, letters: list[Event]) -> None:
    async with bench.consumer().running():
        assert len(await DeadLetters(bench.link, bench.queue).replay(None, 10)) == len(letters)
        await bench.handled_all(len(letters))
    assert sorted(bench.handled) == [(f"markets/{n}", n) for n in range(3)]
    assert await DeadLetters(bench.link, bench.queue).listed(10) == []


async def test_a_letter_that_dies_again_is_not_replayed_for_ever(bench: Bench, letters: list[Event]) -> None:
    """Those that come back meanwhile wait for the operator's next word."""

    async def refuse(_: Delivery) -> None:
        raise Poison("still no such market")

    async with bench.consumer(refuse).running():
        assert len(await DeadLetters(bench.link, bench.queue).replay(None, 10)) == len(letters)

        async def all_are_dead_again() -> bool:
            found = await DeadLetters(bench.link, bench.queue).listed(10)
            return [letter.reason for letter in found] == ["Poison: still no such market"] * len(letters)

        await eventually(all_are_dead_again)


async def test_what_is_no_json_can_be_looked_at(bench: Bench) -> None:
    await bench.publisher.publish(Message(bench.event("k", 1).id, bench.exchange, "it", b"\xff"))

    async def it_is_dead() -> bool:
        return bool(await bench.waiting(dead_queue(bench.queue)))

    async with bench.consumer().running():
        await eventually(it_is_dead)
    (letter,) = await DeadLetters(bench.link, bench.queue).listed(10)
    assert (letter.type, letter.pretty()) == ("?", r"b'\xff'")
    assert letter.reason.startswith("not an envelope: ")
    assert "\n" not in letter.reason


def command(queue: str, *words: str) -> int:
    """Type it."""
    parser = argparse.ArgumentParser()
    add_deadletters(parser.add_subparsers(), [queue])
    wanted = parser.parse_args(["deadletters", *words])
    status: int = wanted.run(wanted)
    return status


@pytest.fixture
def operator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMQP_URL", stack().rabbitmq.url("topology"))


@pytest.mark.usefixtures("operator")
def test_the_commands_list_show_and_replay(
    bench: Bench, letters: list[Event], capsys: pytest.CaptureFixture[str]
) -> None:
    chosen = str(letters[2].id)
    assert command(bench.queue, "list", "--json") == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["subject"] for line in told] == ["markets/0", "markets/1", "markets/2"]
    assert command(bench.queue, "list") == 0
    assert "Poison: no such market: 2" in capsys.readouterr().out
    assert command(bench.queue, "show", chosen) == 0
    assert f'"id": "{chosen}"' in capsys.readouterr().out
    assert command(bench.queue, "replay", chosen) == 0
    assert capsys.readouterr().out == f"{chosen} given back\n"
    assert command(bench.queue, "show", chosen) == 1
    assert command(bench.queue, "replay", chosen) == 1
    assert "is no dead letter here" in capsys.readouterr().err
    assert command(bench.queue, "replay", "--all") == 0
    assert len(capsys.readouterr().out.splitlines()) == 2


@pytest.mark.parametrize("words", [["replay"], ["replay", "--all", "x"], ["list", "--queue", "other"]])
def test_half_an_order_is_refused(words: list[str]) -> None:
    with pytest.raises(SystemExit):
        command("a.queue", *words)


def test_without_a_broker_it_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AMQP_URL", "amqp://nobody@127.0.0.1:1/")
    assert command("a.queue", "list") == 1
    assert "Message broker unavailable" in capsys.readouterr().err


@pytest.mark.parametrize("url", [None, "", "localhost", "http://127.0.0.1/", "amqp:///vhost"])
def test_without_an_address_it_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], url: str | None
) -> None:
    monkeypatch.delenv("AMQP_URL", raising=False)
    if url is not None:
        monkeypatch.setenv("AMQP_URL", url)
    assert command("a.queue", "list") == 2
    (told,) = capsys.readouterr().err.splitlines()
    assert told.startswith("amqp_url: ")


@pytest.mark.usefixtures("operator")
async def test_a_reader_that_has_seen_enough_is_no_accident(bench: Bench, letters: list[Event]) -> None:
    """`… deadletters list | head -0`."""
    listing = (
        "import argparse, sys; from common.amqp.console import add_deadletters; parser = argparse.ArgumentParser(); "
        f"add_deadletters(parser.add_subparsers(), [{bench.queue!r}]); wanted = parser.parse_args(['deadletters', 'list']); "
        "sys.exit(wanted.run(wanted))"
    )
    reading, writing = os.pipe()
    os.close(reading)
    try:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", listing, stdout=writing, stderr=asyncio.subprocess.PIPE
        )
    finally:
        os.close(writing)
    _, told = await process.communicate()
    assert (process.returncode, told) == (1, b"")
    assert len(await DeadLetters(bench.link, bench.queue).listed(10)) == len(letters)
