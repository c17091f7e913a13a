"""The shadow-write example on the real ledger: a tenant with a generic chart and a key that signs.

A long random history of payments made, amended and taken back is followed by a consumer that dies again and again
at the worst moment; then the report says zero drift. And it does not say so when there is some.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import pytest
from common.client import ServiceClient, Unreachable
from common.signing import RequestSigner
from common.testing import fresh_database
from ledger.keys import revoke_key
from ledger.keys.managing import MadeKey

from examples.shadow_write.books import Books, Change, Payment
from examples.shadow_write.day import live
from examples.shadow_write.report import compare
from examples.shadow_write.shadow import Shadow
from services.ledger.tests.door import Door, open_door
from services.ledger.tests.vocabulary import connected


@dataclass
class Partner:
    """A team with its own books and a ledger of its own."""

    books: Books
    client: ServiceClient
    door: Door
    key: MadeKey
    url: str
    folder: Path

    def shadow(self, crash: float = 0.0, chance: random.Random | None = None) -> Shadow:
        """A process that follows; it may die between the ledger's answer and remembering it."""

        def perhaps_die(_: Change) -> None:
            if chance and chance.random() < crash:
                raise Died

        return Shadow(self.books, self.client, self.folder / "shadow.sqlite", answered=perhaps_die)


class Died(Exception):
    """The process, in the middle."""


@pytest.fixture
async def partner(tmp_path: Path) -> AsyncIterator[Partner]:
    async with fresh_database("ledger") as database:
        async with connected(database, "superuser") as connection:
            await connection.execute("INSERT INTO ledger (id, name, chart) VALUES (42, 'partner', 'generic')")
            await connection.execute("INSERT INTO head (ledger_id) VALUES (42) ON CONFLICT DO NOTHING")
        async with open_door(database, tmp_path) as door:
            key = await door.key("shadow", ["transfer", "reversal"], ledger="partner", signed=True)
            assert key.signing
            url = str(door.client.make_url("")).rstrip("/")
            headers = {"Authorization": f"Bearer {key.secret}"}
            async with ServiceClient(url, headers=headers, signer=RequestSigner(key.signing)) as client:
                yield Partner(Books(tmp_path / "books.sqlite"), client, door, key, url, tmp_path)


@pytest.mark.parametrize("seed", [1, 2])
async def test_a_consumer_that_dies_again_and_again_drifts_by_nothing(partner: Partner, seed: int) -> None:
    chance, deaths = random.Random(seed), 0
    for _ in range(4):
        live(partner.books, chance, 25)
        while True:
            try:
                await partner.shadow(0.25, chance).follow()
                break
            except Died:
                deaths += 1
    found = await compare(partner.books, partner.shadow(), partner.client)
    assert deaths > 5
    assert (
        str(found) == f"{found.accounts} accounts, {found.payments} payments, 0 changes waiting: zero drift"
    )
    assert (found.accounts, found.payments > 10) == (5, True)
    assert await entries(partner) == await expected(partner), "each change once, however often it was sent"


async def expected(partner: Partner) -> int:
    """A payment made is one entry, one amended two, one taken back one."""
    changes = partner.books.changes(0, 10_000)
    return sum(2 if change.payment and change.version > 1 else 1 for change in changes)


async def entries(partner: Partner) -> int:
    async with connected(partner.door.database, "ledger_reader") as connection:
        return int(await connection.fetchval("SELECT count(*) FROM entry WHERE ledger_id = 42"))


async def test_two_consumers_at_once_drift_by_nothing(partner: Partner) -> None:
    live(partner.books, random.Random(3), 40)
    twins = [Shadow(partner.books, partner.client, partner.folder / f"twin-{n}.sqlite") for n in range(2)]
    await asyncio.gather(*(twin.follow() for twin in twins))
    for twin in twins:
        assert "zero drift" in str(await compare(partner.books, twin, partner.client))
    assert await entries(partner) == await expected(partner)


async def test_drift_is_told(partner: Partner) -> None:
    """Somebody corrects a row by hand: no change in the feed, and the two are not the same any more."""
    partner.books.pay("one", Payment("ana", "beto", Decimal("10.00")))
    partner.books.pay("two", Payment("beto", "caro", Decimal("4.00")))
    shadow = partner.shadow()
    await shadow.follow()
    assert "zero drift" in str(await compare(partner.books, shadow, partner.client))
    with partner.books.behind_the_feed() as database:
        database.execute("UPDATE payment SET amount = '11.00' WHERE id = 'one'")
        database.execute("INSERT INTO payment VALUES ('three', 1, 'caro', 'dani', '1.00')")
    told = str(await compare(partner.books, shadow, partner.client))
    assert "equity/shadow/ana: the books say -11.00, the ledger -10.00" in told
    assert "equity/shadow/dani: the books say 1.00, the ledger 0" in told
    assert "says something else" in told
    assert "payment three: the ledger has no entry" in told


async def test_what_the_ledger_refuses_is_told_and_holds_up_nothing(partner: Partner) -> None:
    partner.books.pay("bad", Payment("no such/../name", "beto", Decimal("10.00")))
    partner.books.pay("good", Payment("ana", "beto", Decimal("4.00")))
    shadow = partner.shadow()
    assert await shadow.follow() == 2
    found = await compare(partner.books, shadow, partner.client)
    assert [line for line in found.drift if line.startswith("payment bad: refused, no entry can say this")]
    assert shadow.standing("good") is not None


async def test_an_absent_ledger_is_waited_for(partner: Partner, tmp_path: Path) -> None:
    partner.books.pay("one", Payment("ana", "beto", Decimal("10.00")))
    async with ServiceClient("http://127.0.0.1:1", timeout_seconds=0.5) as nobody:
        with pytest.raises(Unreachable):
            await Shadow(partner.books, nobody, tmp_path / "shadow.sqlite").follow()
    assert (await compare(partner.books, partner.shadow(), partner.client)).waiting == 1
    await partner.shadow().follow()
    assert "zero drift" in str(await compare(partner.books, partner.shadow(), partner.client))


async def test_whoever_is_not_the_ledger_passes_no_change_over(partner: Partner, tmp_path: Path) -> None:
    """A path too many in LEDGER_URL, or a proxy's own 404: nobody has judged the payment."""
    partner.books.pay("one", Payment("ana", "beto", Decimal("10.00")))
    key = await partner.door.key("shadow", ["transfer", "reversal"], ledger="partner")
    headers = {"Authorization": f"Bearer {key.secret}"}
    async with ServiceClient(f"{partner.url}/elsewhere", headers=headers) as elsewhere:
        shadow = Shadow(partner.books, elsewhere, tmp_path / "shadow.sqlite")
        with pytest.raises(Unreachable, match="not the ledger"):
            await shadow.follow()
        assert (shadow.position, shadow.refused()) == (0, [])


async def test_as_the_team_runs_it(partner: Partner) -> None:
    live(partner.books, random.Random(4), 10)
    assert partner.key.signing
    environment = os.environ | {
        "LEDGER_URL": partner.url, "LEDGER_API_KEY": partner.key.secret, "LEDGER_SIGNING_KEY": partner.key.signing.written(),
    }  # fmt: skip

    async def run(command: str) -> tuple[int | None, str]:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "examples.shadow_write", command, "--books", str(partner.folder / "books.sqlite"),
            "--shadow", str(partner.folder / "own.sqlite"), stdout=asyncio.subprocess.PIPE, env=environment,
        )  # fmt: skip
        told, _ = await process.communicate()
        return process.returncode, told.decode()

    assert (await run("report"))[0] == 1, "nothing has been taken up yet"
    assert await run("follow") == (0, "10 changes taken up\n")
    status, told = await run("report")
    assert (status, "0 changes waiting: zero drift" in told) == (0, True), told


async def test_a_key_that_has_ended_passes_no_change_over(partner: Partner) -> None:
    """The ledger's no is to us and not to the payment: it waits for another key."""
    live(partner.books, random.Random(5), 20)
    await revoke_key(partner.door.keys, partner.key.id)
    with pytest.raises(Unreachable, match="does not let us"):
        await partner.shadow().follow()
    assert (partner.shadow().position, partner.shadow().refused()) == (0, [])
    key = await partner.door.key("shadow", ["transfer", "reversal"], ledger="partner", signed=True)
    assert key.signing
    headers = {"Authorization": f"Bearer {key.secret}"}
    async with ServiceClient(partner.url, headers=headers, signer=RequestSigner(key.signing)) as client:
        shadow = Shadow(partner.books, client, partner.folder / "shadow.sqlite")
        assert await shadow.follow() == 20
        assert "zero drift" in str(await compare(partner.books, shadow, client))
