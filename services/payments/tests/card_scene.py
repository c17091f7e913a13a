"""Card payments as the tests ask for them and look at them."""

import json
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID, uuid4

from common.idempotency import Answer
from payments.domain.accounts import PlayerId
from payments.domain.cards import Act, CardPayment, CardPaymentId, Operation, PaymentState
from payments.service.requests import Once

from services.payments.tests.world import PACE, WINDOW, World, pesos

PATIENCE = max(WINDOW, timedelta(seconds=PACE.longest_seconds))
RECEIVABLE = "psp/chaos/receivable"
CONTESTED = "disputes/chaos/receivable"
LOSSES = "losses/disputes"


def shown(payment: CardPayment, _: Sequence[Operation]) -> Answer:
    return Answer(202, json.dumps({"id": str(payment.id)}))


def books(here: World) -> tuple[int, int, int]:
    """What the provider owes us, what is contested, what is lost by disputes; in pesos without centavos."""
    owed, disputed, lost = (int(here.ledger.balance(each)) for each in (RECEIVABLE, CONTESTED, LOSSES))
    return owed, disputed, lost


def once(key: str | None = None) -> Once:
    return Once(key or uuid4().hex, b"x")


async def pay(
    here: World, player: PlayerId, amount: str, *, token: str | None = None, capture: bool = True
) -> CardPaymentId:
    """A card payment, asked for. Each has a token of its own, so that the provider's faults can tell them apart."""
    answer = await here.card_requests.pay(
        player, pesos(amount), f"tok_{uuid4().hex}_{token or 'ok'}", once(), shown, capture_at_once=capture
    )
    return CardPaymentId(UUID(json.loads(answer.body)["id"]))


async def settle_down(here: World) -> None:
    """Everything that waits is due again, a few times over, and the provider's window is over."""
    await here.run_cards()
    for _ in range(3):
        here.clock.forward(PATIENCE)
        await here.run_cards()


async def found(here: World, payment_id: CardPaymentId) -> tuple[CardPayment, dict[Act, Operation]]:
    payment, operations = await here.card_requests.payment(None, payment_id)
    return payment, {each.act: each for each in operations}


async def state_of(here: World, payment_id: CardPaymentId) -> PaymentState:
    return (await found(here, payment_id))[0].state


async def cases(here: World) -> list[tuple[str, str]]:
    rows = await here.owner.fetch("SELECT subject, reason FROM review_case ORDER BY opened_at")
    return [(row["subject"], row["reason"]) for row in rows]


async def truth(here: World, payment: CardPayment) -> list[dict[str, str]]:
    told = await here.psp.ask("GET", "/control/truth")
    return [each for each in told["things"] if each["label"].startswith(f"{payment.card_token}:")]


async def captured(here: World, player: PlayerId, amount: str, kind: str = "ok") -> CardPaymentId:
    payment_id = await pay(here, player, amount, token=kind)
    await here.run_cards()
    assert await state_of(here, payment_id) is PaymentState.CAPTURED
    return payment_id


async def refund(here: World, payment_id: CardPaymentId, amount: str) -> Answer:
    return await here.card_requests.refund("c", None, payment_id, pesos(amount), once(), shown)


async def hear(here: World, psp_id: str) -> None:
    """A webhook, taken in as the door takes it in."""
    raw = json.dumps({"type": "x", "data": {"id": psp_id}}).encode()
    await here.owner.execute(
        "INSERT INTO webhook (source, webhook_id, sent_at, raw, object_id) VALUES ('chaos', $1, now(), $2, $3)",
        uuid4().hex,
        raw,
        psp_id,
    )
    await here.run_cards()
