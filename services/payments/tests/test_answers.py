"""The ear for the ledger's events: each heard once, what is not ours left alone."""

from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from common.amqp import Delivery, Poison
from contracts.envelope import Envelope, envelope
from contracts.ledger import EntryCommitted, PostRefused, RefusalReason
from contracts.wire import Event
from payments.consumers import QUEUE, LedgerEar
from payments.domain.accounts import PlayerId
from payments.domain.withdrawals import Withdrawal, WithdrawalState

from services.payments.tests.world import World, new_player


def delivered(event: Event, event_id: UUID | None = None) -> Delivery:
    wrapped = envelope(event, id=event_id or uuid4(), subject="test", version=1, time=datetime.now(UTC))
    raw = wrapped.model_dump_json().encode()
    return Delivery(QUEUE, Envelope.model_validate_json(raw), raw, 1, False)


@pytest.fixture
def ear(here: World) -> LedgerEar:
    return here.ear


@pytest.fixture
async def paid(here: World) -> Withdrawal:
    """A withdrawal that the rail has carried out and the ledger has booked, unheard."""
    player = new_player()
    await here.deposited(player, "500.00")
    answer = await here.withdraw(player, "200.00")
    await here.pay_all()
    withdrawal = await here.withdrawal(player, answer)
    for command in await here.commands():
        here.ledger.post(command.idempotency_key, command)
    return withdrawal


async def now_of(here: World, withdrawal: Withdrawal) -> Withdrawal:
    return await here.requests.withdrawal(withdrawal.player, withdrawal.id)


async def test_an_event_is_heard_once_however_often_it_comes(
    here: World, ear: LedgerEar, paid: Withdrawal
) -> None:
    event = here.ledger.committed(f"withdrawal:{paid.id}:done")
    delivery = delivered(event)
    for _ in range(3):
        await ear.handle(delivery)
    await ear.handle(delivered(event))  # the same fact under another id
    assert (await now_of(here, paid)).state is WithdrawalState.BOOKED
    assert [name for name, _ in await here.events(paid.reference)].count(
        "payments.withdrawal.liquidated.v1"
    ) == 1
    assert await here.owner.fetchval("SELECT count(*) FROM inbox") == 2


async def test_anothers_entry_is_none_of_ours(here: World, ear: LedgerEar, paid: Withdrawal) -> None:
    event = here.ledger.committed(f"withdrawal:{paid.id}:done").model_copy(update={"principal": "betting"})
    await ear.handle(delivered(event))
    assert (await now_of(here, paid)).state is WithdrawalState.LIQUIDATED


async def test_what_somebody_waited_for_over_http_is_known_already(
    here: World, ear: LedgerEar, paid: Withdrawal
) -> None:
    await ear.handle(delivered(here.ledger.committed(f"withdrawal:{paid.id}:reserve")))
    for key in [key for key in here.ledger.entries if key.startswith("deposit:")]:
        await ear.handle(delivered(here.ledger.committed(key)))
    assert (await now_of(here, paid)).state is WithdrawalState.LIQUIDATED


async def test_a_refused_fact_is_marked_for_a_person(here: World, ear: LedgerEar, paid: Withdrawal) -> None:
    refused = PostRefused(
        principal="payments",
        idempotency_key=f"withdrawal:{paid.id}:done",
        kind="withdrawal.done",
        reference=paid.reference,
        problem=RefusalReason(slug="hold-exhausted", detail="nothing left"),
    )
    await ear.handle(delivered(refused))
    marked = await now_of(here, paid)
    assert (marked.state, marked.attention) == (WithdrawalState.LIQUIDATED, "refused-by-ledger")


async def test_a_refused_reservation_was_answered_already(here: World, ear: LedgerEar) -> None:
    player = PlayerId(uuid4())
    await here.deposited(player, "1.00")
    answer = await here.withdraw(player, "200.00")
    await here.pay_all()
    withdrawal = await here.withdrawal(player, answer)
    refused = PostRefused(
        principal="payments",
        idempotency_key=f"withdrawal:{withdrawal.id}:reserve",
        kind="withdrawal.reserve",
        reference=withdrawal.reference,
        problem=RefusalReason(slug="insufficient-funds", detail=""),
    )
    await ear.handle(delivered(refused))
    assert await now_of(here, withdrawal) == withdrawal


async def test_an_unknown_event_is_poison(ear: LedgerEar, here: World, paid: Withdrawal) -> None:
    delivery = delivered(here.ledger.committed(f"withdrawal:{paid.id}:done"))
    stranger = delivery.envelope.model_copy(update={"type": "betting.offer.placed.v1"})  # type: ignore[attr-defined]
    with pytest.raises(Poison):
        await ear.handle(Delivery(QUEUE, stranger, b"", 1, False))


def test_the_events_are_the_contracts() -> None:
    assert EntryCommitted.type == "ledger.entry.committed.v1"
    assert PostRefused.type == "ledger.post.refused.v1"
