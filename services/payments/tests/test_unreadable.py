"""A line of the participant's statement that cannot be read: told of by its number and its field, and the others are taken."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from common.client import Reply, ServiceClient
from payments.domain.accounts import available
from payments.domain.cases import Decision
from payments.domain.evidence import RailStatus
from payments.rail import RailSilent

from services.payments.tests.test_bank_account import a_day, reconciled
from services.payments.tests.test_suspense import decide, run
from services.payments.tests.world import World, new_player

Line = Mapping[str, object]
GOOD: Line = {
    "clave": "BAD1", "operation_date": "2026-11-22", "institution": "40012", "ordering_clabe": "012180015555555550",
    "beneficiary_clabe": "646180157099999993", "amount": "1.00", "currency": "MXN", "status": str(RailStatus.LIQUIDATED),
    "ordering_name": "Ana López",
}  # fmt: skip
BAD: list[tuple[object, str]] = [
    ({**GOOD, "amount": "1,000.00"}, "amount"),
    ({**GOOD, "amount": "NaN"}, "amount"),
    ({**GOOD, "amount": "1.001"}, "amount"),
    ({**GOOD, "amount": 1.0}, "amount"),
    ({**GOOD, "amount": None}, "amount"),
    ({**GOOD, "amount": "1e400"}, "amount"),
    ({**GOOD, "status": "perdido"}, "status"),
    ({**GOOD, "operation_date": "2026-13-01"}, "operation_date"),
    ({**GOOD, "operation_date": "0001-01-01"}, "operation_date"),
    ({**GOOD, "ordering_name": "Ana\0López"}, "ordering_name"),
    ({name: value for name, value in GOOD.items() if name != "clave"}, "clave"),
    ("not a line", "line"),
]


def spoilt(monkeypatch: pytest.MonkeyPatch, path: str, *lines: object, at: int = 0, **more: object) -> None:
    """From now on that statement of the rail has these lines as well, from that place on."""
    honest = ServiceClient.send

    async def send(client: ServiceClient, method: str, asked: str, **rest: object) -> Reply:
        reply = await honest(client, method, asked, **rest)  # type: ignore[arg-type] # as it was asked
        if asked != path:
            return reply
        told = json.loads(reply.body)
        told["items"][at:at] = lines
        return Reply(reply.status, json.dumps({**told, **more}).encode(), reply.headers)

    monkeypatch.setattr(ServiceClient, "send", send)


@pytest.mark.parametrize("path", ["/abonos", "/devoluciones"])
async def test_a_line_that_cannot_be_read_is_told_of_once_and_holds_up_no_other(
    here: World, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    player = new_player()
    _, withdrawal = await here.paid_out(player)
    spoilt(monkeypatch, path, *(bad for bad, _ in BAD))
    await here.rail.transfer(await here.requests.own_clabe(player), "70.00")
    await here.rail.post(f"/orders/{withdrawal.clave}/return", {})
    await run(here)
    assert here.ledger.balance(available(player)) == Decimal(570), "the others are taken"
    told = await here.cashier.queue(None, None, 50)
    assert {(case.subject, case.reason, case.evidence["statement"]) for case in told} == {
        ("arrival", "line-cannot-be-read", path[1:])
    }
    assert sorted((int(case.evidence["line"]), case.evidence["field"]) for case in told) == [
        (number, field) for number, (_, field) in enumerate(BAD, 1)
    ]
    for case in told:
        await decide(here, case, Decision.CLOSE)
    await run(here)
    assert list(await here.cashier.queue(None, None, 50)) == [], "people know them by now"


async def test_a_line_that_is_corrected_is_taken_however_late(
    here: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its time on the statement is the day before yesterday's by then."""
    player = new_player()
    await here.known(player)
    clabe = await here.requests.own_clabe(player)
    await here.rail.transfer(clabe, "70.00")
    honest = ServiceClient.send

    async def send(client: ServiceClient, method: str, asked: str, **rest: object) -> Reply:
        reply = await honest(client, method, asked, **rest)  # type: ignore[arg-type] # as it was asked
        body = reply.body.replace(b'"70.00"', b'"7O.00"') if asked == "/abonos" else reply.body
        return Reply(reply.status, body, reply.headers)

    monkeypatch.setattr(ServiceClient, "send", send)
    for _ in range(3):
        await run(here)
        here.clock.forward(timedelta(hours=12))
    assert here.ledger.entries == {}
    monkeypatch.undo()
    await run(here)
    assert here.ledger.balance(available(player)) == Decimal(70)


ENTRY = {
    "what": "abono",
    "clave": "X",
    "operation_date": "2026-11-22",
    "institution": "40012",
    "amount": "1.00",
}


async def test_a_statement_that_cannot_be_read_is_not_reconciled_and_says_which_line_it_is(
    here: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A comparison without one of the lines would be of something else."""
    await a_day(here)
    for change, field in (
        ({"amount": "x"}, "amount"), ({"amount": "NaN"}, "amount"), ({"amount": 1.5}, "amount"),
        ({"amount": "1.005"}, "amount"), ({"what": "comision"}, "what"), ({"at": "yesterday"}, "at"),
    ):  # fmt: skip
        with monkeypatch.context() as patch:
            spoilt(patch, "/statement", {**ENTRY, "at": datetime.now(UTC).isoformat(), **change}, at=2)
            with pytest.raises(RailSilent, match=rf"line 3: {field} is "):
                await reconciled(here)
    for balance in ({"opening": "x"}, {"closing": 470.0}, {"closing": None}):
        with monkeypatch.context() as patch:
            spoilt(patch, "/statement", **balance)
            with pytest.raises(RailSilent, match="opening and closing are"):
                await reconciled(here)
    assert list((await reconciled(here)).report.found) == []
