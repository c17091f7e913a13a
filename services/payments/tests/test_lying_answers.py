"""What no honest server would say leaves a case or is asked again; it is never a step that fails for ever."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
from payments.domain.arrivals import arrival_id
from payments.domain.cards import Act, Operation, OperationState, Told
from payments.domain.deposits import Transfer
from payments.domain.evidence import Cep, Document
from payments.domain.payout_files import parse_payout
from payments.domain.refusals import BadPayoutFile
from payments.psp import CardProvider, ReportLine
from payments.rail import Sources

from services.payments.tests.card_scene import captured, cases, found, pay, settle_down
from services.payments.tests.test_suspense import NOBODYS, arrivals, run
from services.payments.tests.world import World, new_player

Spoil = Callable[[Document], Document]


def _other_day(document: Document) -> Document:
    return replace(document, operation_date=document.operation_date.replace(year=2001))


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda document: replace(document, cadena="no cadena"), "document-unreadable"),
        (
            lambda document: replace(
                document, cadena="|".join([*document.cadena.split("|")[:4], "31129999", "235959",
                                           *document.cadena.split("|")[6:]])
            ),
            "document-unreadable",
        ),
        (lambda document: replace(document, clave="ANOTHER"), "transfer-differs"),
        (_other_day, "transfer-differs"),
        (lambda document: replace(document, ordering_account="646180157000000004"), "ordering-account-differs"),
        (lambda document: replace(document, beneficiary_clabe="646180157000000004"), "beneficiary-differs"),
        (lambda document: replace(document, amount=document.amount + document.amount), "amount-differs-between-sources"),
    ],
)  # fmt: skip
async def test_a_receipt_of_something_else_puts_nothing_into_suspense(
    here: World, monkeypatch: pytest.MonkeyPatch, spoil: Spoil, reason: str
) -> None:
    honest: Callable[[Sources, Transfer], Awaitable[Cep | None]] = Sources.cep

    async def spoilt(sources: Sources, transfer: Transfer) -> Cep | None:
        cep = await honest(sources, transfer)
        assert cep is not None
        assert cep.document is not None
        return Cep(cep.status, spoil(cep.document))

    monkeypatch.setattr(Sources, "cep", spoilt)
    transfer = await here.rail.transfer(NOBODYS, "70.00")
    await run(here)
    assert await arrivals(here) == ["QUARANTINED"]
    assert await cases(here) == [("proof", reason)]
    assert here.ledger.entries == {}
    assert await here.owner.fetchval("SELECT id FROM arrival") == arrival_id(transfer.tracking_key)


@pytest.mark.parametrize("amount", ["a lot", "sNaN", "NaN", "1e999999", ""])
async def test_a_report_of_no_amount_is_contradictory(
    here: World, monkeypatch: pytest.MonkeyPatch, amount: str
) -> None:
    honest = CardProvider.report

    async def spoilt(provider: CardProvider, psp_id: str) -> ReportLine | None:
        line = await honest(provider, psp_id)
        return line and line.model_copy(update={"amount": amount})

    monkeypatch.setattr(CardProvider, "report", spoilt)
    payment_id = await pay(here, new_player(), "70.00")
    await settle_down(here)
    capture = (await found(here, payment_id))[1][Act.CAPTURE]
    assert (capture.state, capture.reason) == (OperationState.CONFLICTED, "report-differs")


async def test_one_object_does_not_answer_two_operations(
    here: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The provider answers for the second payment with the id of the first one's capture."""
    first = await captured(here, new_player(), "70.00")
    taken = (await found(here, first))[1][Act.CAPTURE].psp_id
    honest = CardProvider.find

    async def spoilt(provider: CardProvider, operation: Operation) -> Told | None:
        told = await honest(provider, operation)
        again = told is not None and operation.act is Act.CAPTURE and taken is not None
        return replace(told, psp_id=taken) if told is not None and again and taken is not None else told

    second = await pay(here, new_player(), "30.00")
    monkeypatch.setattr(CardProvider, "find", spoilt)
    await settle_down(here)
    capture = (await found(here, second))[1][Act.CAPTURE]
    assert (capture.state, capture.reason) == (OperationState.CONFLICTED, "anothers-object")
    assert ("card", "anothers-object") in await cases(here)


@pytest.mark.parametrize("amount", ["1e40", "1e-3", "-1e999", "Infinity", "sNaN", "x"])
def test_what_is_no_amount_makes_a_bad_file(amount: str) -> None:
    with pytest.raises(BadPayoutFile):
        parse_payout(f"H,PO,MXN,{amount}\nT,{amount}\n")


def test_what_cannot_be_taken_apart_makes_a_bad_file() -> None:
    with pytest.raises(BadPayoutFile):
        parse_payout(f"H,{'x' * 200_000},MXN,0\nT,0\n")
