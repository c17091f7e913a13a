"""Reading over HTTP: every parameter's bad input, filters on what does not exist, cursors, exports."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from unittest.mock import patch
from urllib.parse import quote, urlencode
from uuid import uuid4

import pytest
from common.http.cursors import write_cursor
from common.testing import Database
from ledger.api import EXPORTING
from ledger.service import exporting
from ledger.service.reading import AsOf

from services.ledger.tests.commands import Operator
from services.ledger.tests.door import Door, Json, open_door
from services.ledger.tests.history import age
from services.ledger.tests.test_closes import close_all
from services.ledger.tests.vocabulary import Bank, hold, posted, refused, release


@dataclass
class Desk:
    """A reader's key at the door of a ledger with a little history, a day of it closed."""

    door: Door
    key: str
    player: str
    market: str
    bank: Bank

    @property
    def account(self) -> str:
        return f"players/{self.player}/available"

    async def get(self, path: str, **query: str | int) -> tuple[int, Json]:
        return await self.door.ask(self.key, "GET", f"{path}?{urlencode(query)}" if query else path)

    async def text(self, path: str, **query: str | int) -> tuple[int, str]:
        headers = {"Authorization": f"Bearer {self.key}"}
        async with self.door.client.get(f"{path}?{urlencode(query)}", headers=headers) as answer:
            return answer.status, await answer.text()


@pytest.fixture
async def desk(database: Database, bank: Bank, tmp_path: Path) -> AsyncIterator[Desk]:
    player, market = await bank.fund("100.00"), str(uuid4())
    await age(database, timedelta(days=1))
    for n in range(5):
        offer = uuid4()
        taken = replace(hold(player, Decimal(5), market, offer), metadata={"round": str(n)})
        assert posted(await bank.engine.post(taken))
        assert posted(await bank.engine.post(release(player, Decimal(2), market, offer)))
    await close_all(database)
    async with open_door(database, tmp_path) as door:
        key = await door.key("auditor", [], scopes=["read"])
        yield Desk(door, key.secret, player, market, bank)


SOON = (datetime.now(UTC) + timedelta(days=1)).isoformat()
PAST = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
NOBODY = "players/00000000-0000-4000-8000-000000000000/available"
FOREIGN = write_cursor("seals", 1)

Case = tuple[str, Mapping[str, str | int], int, str]

BAD: list[Case] = [
    *(
        (path, {"account": "bank/spei", name: value}, 400, name)
        for path in ("/v1/statement", "/v1/accounts", "/v1/entries", "/v1/closes")
        for name, value in (("limit", 0), ("limit", 501), ("limit", "x"), ("limit", "1.5"), ("after", FOREIGN), ("after", "!"))
        if path not in ("/v1/accounts", "/v1/closes")
    ),
    *(
        (path, {name: value}, 400, name)
        for path in ("/v1/accounts", "/v1/closes")
        for name, value in (("limit", 0), ("limit", 501), ("after", FOREIGN), ("after", "x" * 700), ("nonsense", 1))
    ),
    *(
        (path, {"account": "bank/spei", "sequence": value}, 400, "sequence")
        for path in ("/v1/balance", "/v1/statement", "/v1/statement/export")
        for value in ("-1", "x", str(2**63), "999999")
    ),
    *(
        (path, {"account": "bank/spei", "at": value}, 400, "at")
        for path in ("/v1/balance", "/v1/statement", "/v1/statement/export")
        for value in (SOON, "yesterday", "2026-11-01T00:00:00", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z")
    ),
    ("/v1/trial-balance", {"at": SOON}, 400, "at"),
    ("/v1/trial-balance", {"sequence": 999}, 400, "sequence"),
    ("/v1/trial-balance", {"sequence": 1, "at": PAST}, 400, "sequence"),
    ("/v1/balance", {}, 400, "account"),
    ("/v1/balance", {"account": ""}, 400, "account"),
    ("/v1/balance", {"account": "x" * 201}, 400, "account"),
    ("/v1/balance", {"account": NOBODY}, 404, "account"),
    ("/v1/balance", {"account": "bank/spei", "currency": "USD"}, 404, "account"),
    ("/v1/balance", {"account": "bank/spei", "currency": "pesos"}, 400, "currency"),
    ("/v1/balance", {"account": "bank/spei", "min_sequence": 7}, 409, "min_sequence"),
    ("/v1/balance", {"account": "bank/spei", "sequence": 0}, 404, "sequence"),
    ("/v1/balance", {"account": "bank/spei", "at": "2020-01-01T00:00:00Z"}, 404, "at"),
    ("/v1/accounts", {"prefix": "players/nobody/"}, 404, "prefix"),
    ("/v1/accounts", {"prefix": "x" * 201}, 400, "prefix"),
    ("/v1/statement", {"account": NOBODY}, 404, "account"),
    ("/v1/statement", {"account": "bank/spei", "order": "sideways"}, 400, "order"),
    ("/v1/statement", {"account": "bank/spei", "posted_from": SOON}, 400, "posted_from"),
    ("/v1/entries", {"account": NOBODY}, 404, "account"),
    ("/v1/entries", {"prefix": "players/nobody/"}, 404, "prefix"),
    ("/v1/entries", {"kind": "grant"}, 422, "kind"),
    ("/v1/entries", {"kind": ""}, 400, "kind"),
    ("/v1/entries", {"reference": "offers/none"}, 404, "reference"),
    ("/v1/entries", {"metadata_key": "round"}, 400, "metadata_value"),
    ("/v1/entries", {"metadata_value": "1"}, 400, "metadata_key"),
    ("/v1/entries", {"metadata_key": "colour", "metadata_value": "1"}, 404, "metadata_key"),
    ("/v1/entries", {"metadata_key": "round", "metadata_value": "99"}, 404, "metadata_value"),
    ("/v1/entries", {"kind": "bet.hold", "account": "bank/spei"}, 400, "kind"),
    ("/v1/entries", {"reference": "x", "effective_from": PAST}, 400, "effective_from"),
    ("/v1/entries", {"effective_from": PAST, "posted_from": PAST}, 400, "posted_from"),
    ("/v1/entries", {"effective_from": PAST, "effective_to": PAST}, 400, "effective_to"),
    ("/v1/entries", {"posted_from": PAST, "posted_to": "2020-01-01T00:00:00Z"}, 400, "posted_to"),
    ("/v1/entries", {"posted_from": SOON}, 400, "posted_from"),
    ("/v1/entries", {"effective_from": PAST, "after": write_cursor("entries", 1)}, 400, "after"),
    ("/v1/entries", {"effective_from": PAST, "after": write_cursor("entries.effective", "soon", 1)}, 400, "after"),
    ("/v1/entries", {"order": "newest first"}, 400, "order"),
    ("/v1/entries/export", {"format": "xml"}, 400, "format"),
    ("/v1/entries/export", {"kind": "grant"}, 422, "kind"),
    ("/v1/entries/export", {"account": NOBODY}, 404, "account"),
    ("/v1/statement/export", {"account": NOBODY}, 404, "account"),
    ("/v1/holds", {"account": "bank/spei", "reference": "x"}, 400, "reference"),
    ("/v1/holds", {"account": NOBODY}, 404, "account"),
    ("/v1/holds", {"reference": "offers/none"}, 404, "reference"),
    ("/v1/holds", {"account": "bank/spei", "after": FOREIGN}, 400, "after"),
    ("/v1/holds", {"account": "bank/spei", "after": write_cursor("holds", "no id")}, 400, "after"),
    ("/v1/closes", {"after": write_cursor("closes", "soon")}, 400, "after"),
    ("/v1/accounts", {"after": write_cursor("accounts", "\ud800", "MXN")}, 400, "after"),
    *(
        (path, {**wanted, "after": write_cursor(order, moment, *rest)}, 400, "after")
        for moment in ("9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00")
        for path, wanted, order, rest in (
            ("/v1/entries", {"effective_from": PAST}, "entries.effective", (1,)),
            ("/v1/refusals", {}, "refusals", (str(uuid4()),)),
        )
    ),
    ("/v1/holds", {"account": "bank/spei", "limit": 0}, 400, "limit"),
    ("/v1/refusals", {"after": write_cursor("refusals", "soon", str(uuid4()))}, 400, "after"),
    ("/v1/refusals", {"after": write_cursor("refusals", PAST, "no id")}, 400, "after"),
    ("/v1/refusals", {"order": "worst"}, 400, "order"),
    ("/v1/closes", {"period": "year"}, 400, "period"),
    ("/v1/closes/year/2026-01-01", {}, 404, "period"),
    ("/v1/closes/day/2020-01-01", {}, 404, "starts_on"),
    ("/v1/closes/day/someday", {}, 404, "starts_on"),
    ("/v1/closes/day/2020-01-01/accounts", {}, 404, "starts_on"),
    ("/v1/entries/not-an-id", {}, 404, "id"),
    (f"/v1/entries/{uuid4()}", {}, 404, "id"),
]  # fmt: skip


async def test_bad_input_names_its_field(desk: Desk) -> None:
    for path, query, status, field in BAD:
        told = await desk.get(path, **query)
        assert (told[0], told[1].get("field") or told[1]["errors"][0]["field"]) == (status, field), (
            path,
            query,
            told,
        )
        assert told[1]["headers"]["Content-Type"].startswith("application/problem+json")


async def test_what_is_there_but_has_nothing_is_empty_and_not_missing(desk: Desk) -> None:
    """The account, the kind, the range exist: nothing in them is an answer."""
    assert (await desk.get("/v1/entries", kind="bet.match"))[1]["entries"] == []
    status, told = await desk.get("/v1/entries", account=desk.account, posted_to="2020-01-01T00:00:00Z")
    assert (status, told["entries"], told["next"]) == (200, [], None)


async def test_pages_meet_and_end(desk: Desk) -> None:
    for n in range(3):
        poor = hold(desk.player, Decimal(1_000 + n), desk.market, uuid4(), key=f"poor-{n}")
        assert refused(await desk.bank.engine.post(poor)) == "insufficient-funds"
    for path, name, extra in (
        ("/v1/entries", "entries", {}),
        ("/v1/entries", "entries", {"order": "newest"}),
        ("/v1/entries", "entries", {"effective_from": "2020-01-01T00:00:00Z"}),
        ("/v1/entries", "entries", {"effective_from": "2020-01-01T00:00:00Z", "order": "newest"}),
        ("/v1/statement", "lines", {"account": desk.account}),
        ("/v1/statement", "lines", {"account": desk.account, "order": "newest"}),
        ("/v1/accounts", "accounts", {}),
        ("/v1/holds", "holds", {}),
        ("/v1/holds", "holds", {"account": f"players/{desk.player}/held"}),
        ("/v1/holds", "holds", {"reference": f"markets/{desk.market}"}),
        ("/v1/refusals", "refusals", {}),
        ("/v1/refusals", "refusals", {"order": "oldest"}),
    ):
        status, whole = await desk.get(path, **extra)
        assert (status, whole["next"]) == (200, None), whole
        assert len(whole[name]) > 2
        pages, query = [], dict(extra)
        while True:
            status, told = await desk.get(path, limit=2, **query)
            assert status == 200
            pages += told[name]
            if told["next"] is None:
                break
            query["after"] = told["next"]
        assert pages == whole[name], (path, extra)


async def test_a_statement_and_a_balance_of_any_moment(desk: Desk) -> None:
    status, told = await desk.get("/v1/statement", account=desk.account)
    assert status == 200
    assert told["headers"]["Ledger-Source"] == "primary"
    assert float(told["headers"]["Ledger-Lag-Seconds"]) == 0
    for line in told["lines"]:
        for point in ({"sequence": line["sequence"]}, {"at": line["posted_at"]}):
            status, then = await desk.get("/v1/balance", account=desk.account, **point)
            assert (status, then["balance"], then["sequence"]) == (
                200,
                line["balance"],
                line["account_sequence"],
            )
    status, upto = await desk.get("/v1/statement", account=desk.account, sequence=5)
    assert [line["sequence"] for line in upto["lines"]] == [1, 2, 3, 4, 5]
    status, trial = await desk.get("/v1/trial-balance", sequence=1)
    assert (status, trial["sequence"], trial["balanced"]) == (200, 1, True)
    assert {line["account_class"]: (line["debit"], line["credit"]) for line in trial["lines"]} == {
        "bank": ("100.00", "0.00"),
        "player.available": ("0.00", "100.00"),
    }


async def test_an_entry_tells_everything_that_is_kept(desk: Desk) -> None:
    status, found = await desk.get("/v1/entries", metadata_key="round", metadata_value="3")
    assert status == 200
    (entry,) = found["entries"]
    assert (entry["metadata"], entry["principal"], entry["kind"]) == ({"round": "3"}, "tester", "bet.hold")
    assert (await desk.get(f"/v1/entries/{entry['id']}"))[1]["postings"] == entry["postings"]


async def test_exports_say_what_the_pages_say(desk: Desk) -> None:
    lines = (await desk.get("/v1/statement", account=desk.account))[1]["lines"]
    entries = (await desk.get("/v1/entries"))[1]["entries"]

    status, text = await desk.text("/v1/statement/export", account=desk.account)
    rows = list(csv.DictReader(io.StringIO(text)))
    assert status == 200
    assert [(row["amount"], row["side"], row["balance"]) for row in rows] == [
        (line["amount"], line["side"], line["balance"]) for line in lines
    ]
    status, text = await desk.text("/v1/statement/export", account=desk.account, format="jsonl")
    *told, end = map(json.loads, text.splitlines())
    assert end == {"end": len(lines), "sequence": entries[-1]["sequence"]}
    assert [row["balance"] for row in told] == [line["balance"] for line in lines]

    status, text = await desk.text("/v1/entries/export", format="jsonl")
    *told, end = map(json.loads, text.splitlines())
    assert end["end"] == len(entries)
    assert [(row["sequence"], row["metadata"], row["postings"]) for row in told] == [
        (entry["sequence"], entry["metadata"], entry["postings"]) for entry in entries
    ]
    status, text = await desk.text("/v1/entries/export", kind="bet.hold")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert len(rows) == 2 * sum(entry["kind"] == "bet.hold" for entry in entries)
    assert json.loads(rows[0]["metadata"]) == {"round": "0"}


async def test_an_export_is_made_of_many_pages_and_ends_where_it_began(desk: Desk) -> None:
    """Small pages, and posting while it is read: exactly what there was at the beginning."""
    before = (await desk.get("/v1/entries"))[1]["entries"]
    with patch.object(exporting, "PAGE", 3), patch.object(exporting, "SLICE", 2):
        headers = {"Authorization": f"Bearer {desk.key}"}
        async with desk.door.client.get("/v1/entries/export?format=jsonl", headers=headers) as answer:
            first = await answer.content.readline()
            assert posted(await desk.bank.engine.post(hold(desk.player, Decimal(1), desk.market, uuid4())))
            told = [json.loads(line) for line in (first + await answer.read()).splitlines()]
    assert [row["sequence"] for row in told[:-1]] == [entry["sequence"] for entry in before]
    assert told[-1] == {"end": len(before), "sequence": len(before)}


async def test_an_export_has_one_header_whatever_its_first_page_leaves_out(desk: Desk) -> None:
    """In the order of effective times what was posted after the export began may come first, and is not shown."""
    assert desk.door.client.app is not None
    reading = desk.door.client.app[EXPORTING]._reading
    reached, before = reading.reached, datetime.now(UTC) - timedelta(minutes=1)

    async def and_then_more(ledger: int, as_of: AsOf) -> int:
        upto = await reached(ledger, as_of)
        for _ in range(4):
            late = hold(desk.player, Decimal(1), desk.market, uuid4())
            assert posted(await desk.bank.engine.post(replace(late, effective_at=before)))
        return upto

    with patch.object(exporting, "PAGE", 3), patch.object(reading, "reached", and_then_more):
        _, text = await desk.text("/v1/entries/export", effective_from=before.isoformat())
    assert [row["sequence"] for row in csv.DictReader(io.StringIO(text))] == [
        str(sequence) for sequence in range(2, 12) for _ in range(2)
    ]


async def test_an_export_that_breaks_off_is_seen_to(desk: Desk) -> None:
    """The books vanish in the middle: the transfer has no end, so nobody takes it for whole."""
    pages = desk.door.client.app[EXPORTING]._finding
    sound, calls = pages.entries, 0

    async def breaking(*arguments: object, **named: object) -> object:
        nonlocal calls
        calls += 1
        if calls > 1:
            raise RuntimeError("the books are gone")
        return await sound(*arguments, **named)  # type: ignore[arg-type]

    headers = {"Authorization": f"Bearer {desk.key}"}
    with patch.object(exporting, "PAGE", 3), patch.object(pages, "entries", breaking):
        async with desk.door.client.get("/v1/entries/export", headers=headers) as answer:
            assert answer.status == 200
            with pytest.raises(Exception, match=r"payload|closed|reset|not completed"):
                await answer.read()


async def test_exports_take_turns(desk: Desk) -> None:
    parts = desk.door.client.app[EXPORTING]
    for busy in ({1: exporting.MOST_AT_ONCE}, {2: exporting.MOST_OF_ALL}):
        with patch.object(parts, "_running", Counter(busy)):
            status, told = await desk.get("/v1/entries/export")
            assert (status, told["type"], told["headers"]["Retry-After"]) == (
                429,
                "/problems/too-many-exports",
                "5",
            )
    with patch.object(parts, "_running", Counter({2: exporting.MOST_AT_ONCE})):
        status, _ = await desk.text("/v1/entries/export")
        assert status == 200, "another house's slow readers are no reason to wait"
    for _ in range(exporting.MOST_AT_ONCE + 2):  # and each gives its turn back, refused or not
        assert (await desk.text("/v1/entries/export"))[0] == 200
        assert (await desk.get("/v1/entries/export", kind="grant"))[0] == 422


async def test_a_spreadsheet_runs_nothing(desk: Desk) -> None:
    wild = replace(
        hold(desk.player, Decimal(1), desk.market, uuid4()), reference="=cmd|calc", legs=hold(
            desk.player, Decimal(1), desk.market, uuid4()
        ).legs,
    )  # fmt: skip
    assert posted(await desk.bank.engine.post(wild))
    _, text = await desk.text("/v1/entries/export", reference="=cmd|calc")
    assert {row["reference"] for row in csv.DictReader(io.StringIO(text))} == {"'=cmd|calc"}
    assert (await desk.get(f"/v1/entries?reference={quote('=cmd|calc')}"))[0] == 200


async def test_holds_and_refusals_say_what_became_of_them(desk: Desk) -> None:
    _, told = await desk.get("/v1/holds", reference=f"markets/{desk.market}")
    assert {(each["opened"], each["remaining"], each["released"]) for each in told["holds"]} == {
        ("5.00", "3.00", "2.00")
    }
    poor = hold(desk.player, Decimal(1_000), desk.market, uuid4(), key="too-much")
    assert refused(await desk.bank.engine.post(poor)) == "insufficient-funds"
    _, told = await desk.get("/v1/refusals")
    assert (told["refusals"][0]["idempotency_key"], told["refusals"][0]["slug"]) == (
        "too-much",
        "insufficient-funds",
    )


async def test_a_page_of_no_holds_says_why(desk: Desk) -> None:
    """What is held of an account is on another one; some accounts have nothing that could be held."""
    held = f"players/{desk.player}/held"
    status, told = await desk.get("/v1/holds", account=desk.account)
    assert (status, told["field"]) == (400, "account")
    assert held in told["detail"]
    assert (await desk.get("/v1/holds", account=held))[0] == 200
    status, told = await desk.get("/v1/holds", account="bank/spei")
    assert (status, told["field"]) == (400, "account")
    assert "nothing can be held of it" in told["detail"]
    _, entries = await desk.get("/v1/entries")
    under = {entry["kind"]: entry["reference"] for entry in entries["entries"]}["deposit"]
    status, told = await desk.get("/v1/holds", reference=under)
    assert (status, told["type"]) == (404, "/problems/reference-not-found"), "it has an entry, and no hold"


async def test_closes_over_http(desk: Desk) -> None:
    status, told = await desk.get("/v1/closes")
    assert status == 200
    (closed,) = told["closes"]
    status, whole = await desk.get(f"/v1/closes/day/{closed['starts_on']}")
    assert (status, whole["close"], whole["proofs"]) == (
        200,
        closed,
        [{"currency": "MXN", "money": "100.00", "owed": "100.00", "covered": True}],
    )
    status, page = await desk.get(f"/v1/closes/day/{closed['starts_on']}/accounts", limit=1)
    assert [each["account"] for each in page["accounts"]] == ["bank/spei"]
    status, rest = await desk.get(f"/v1/closes/day/{closed['starts_on']}/accounts", after=page["next"])
    assert [(each["account"], each["balance"]) for each in rest["accounts"]] == [(desk.account, "100.00")]


async def test_the_operators_commands(desk: Desk, operator: Operator, tmp_path: Path) -> None:
    async def run(*arguments: str) -> tuple[int, str]:
        status, told, complaints = await operator.run(desk.door.database, "ledger_reader", *arguments)
        return status, told + complaints

    status, told = await run("trial-balance", "--sequence", "1")
    assert status == 0, told
    assert "balanced" in told
    assert "player.available" in told
    assert "100.00" in told
    out = tmp_path / "statement.csv"
    status, told = await run("export", "statement", "--account", desk.account, "--out", str(out))
    assert (status, f"11 rows are in {out}" in told.replace("\n", "")) == (0, True), told
    assert out.read_bytes().decode() == (await desk.text("/v1/statement/export", account=desk.account))[1]
    status, told = await run("export", "statement", "--account", desk.account, "--out", str(out))
    assert (status, "exists" in told) == (1, True)
    status, told = await run("export", "entries", "--kind", "grant", "--out", str(tmp_path / "none"))
    assert (status, "no kind grant" in told, (tmp_path / "none").exists()) == (1, True, False)
    status, told = await run("trial-balance", "--ledger", "nobody")
    assert (status, "no ledger nobody" in told) == (1, True)
