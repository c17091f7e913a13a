"""Disputes that no webhook tells of: the provider's list does."""

import asyncio
from datetime import timedelta

import pytest
from payments.domain.cards import CardPaymentId, Told
from payments.domain.cases import Decision
from payments.psp import CardProvider
from payments.rail import RailSilent
from payments.service.disputes import HEARD, Disputes

from services.payments.tests.card_scene import captured, cases, hear, refund
from services.payments.tests.test_disputes import held
from services.payments.tests.test_suspense import decide
from services.payments.tests.world import World, new_player


async def contested(here: World, count: int = 1) -> list[tuple[CardPaymentId, str]]:
    """Payments of a hundred of which forty are refunded, and disputed; nobody has told us of that."""
    payments = [await captured(here, new_player(), "100.00") for _ in range(count)]
    for payment_id in payments:
        await refund(here, payment_id, "40.00")
    await here.run_cards()
    await here.psp.faults(dispute_during_refund=1.0)
    changed = (await here.psp.ask("POST", "/control/late"))["changed"]
    await here.psp.faults()
    rows = await here.owner.fetch(
        "SELECT payment_id, id::text FROM card_operation WHERE payment_id = ANY ($1)", payments
    )
    payment_of = {row["id"]: CardPaymentId(row["payment_id"]) for row in rows}
    return [(payment_of[each["key"]], each["id"]) for each in changed]


async def end(here: World, dispute: str, *, won: bool) -> None:
    await here.psp.ask("POST", f"/control/disputes/{dispute}", {"won": won})


def heard(by: str) -> float:
    count: float = HEARD.labels(by)._value.get()
    return count


async def state(here: World, dispute: str) -> str | None:
    found: str | None = await here.owner.fetchval("SELECT state FROM card_dispute WHERE psp_id = $1", dispute)
    return found


async def test_one_whose_webhook_never_comes_is_known_all_the_same(here: World) -> None:
    before = heard("list")
    ((payment_id, dispute),) = await contested(here)
    for _ in range(2):
        await here.disputes.look()
    assert (await state(here, dispute), await held(here, payment_id)) == ("OPEN", 40)
    await end(here, dispute, won=True)
    for _ in range(2):
        await here.disputes.look()
    assert (await state(here, dispute), await held(here, payment_id)) == ("WON", 0)
    await hear(here, dispute)  # it comes after all
    assert await cases(here) == [("card", f"dispute:{dispute}")]
    assert heard("list") == before + 2


async def test_one_that_was_opened_and_lost_while_nobody_looked_holds_its_money(here: World) -> None:
    ((payment_id, dispute),) = await contested(here)
    await end(here, dispute, won=False)
    await here.disputes.look()
    assert (await state(here, dispute), await held(here, payment_id)) == ("LOST", 40)


async def test_told_by_webhook_and_list_at_once_it_is_one(here: World) -> None:
    before = heard("list") + heard("webhook")
    ((payment_id, dispute),) = await contested(here)
    await asyncio.gather(hear(here, dispute), *(here.disputes.look() for _ in range(6)))
    assert await held(here, payment_id) == 40
    assert await cases(here) == [("card", f"dispute:{dispute}")]
    assert heard("list") + heard("webhook") == before + 1


async def test_the_webhook_has_its_time_to_come(here: World) -> None:
    patient = Disputes(here.pool, provider_of(here), patience=timedelta(hours=1), clock=here.clock)
    ((_, dispute),) = await contested(here)
    await patient.look()
    assert await state(here, dispute) is None
    here.clock.forward(timedelta(hours=1))
    await patient.look()
    assert await state(here, dispute) == "OPEN"


async def test_one_that_cannot_be_had_holds_up_no_other_and_is_asked_for_again(here: World) -> None:
    told = sorted(dispute for _, dispute in await contested(here, 3))
    deaf = Deaf(here, told[0])
    looking = Disputes(here.pool, deaf, patience=timedelta(0), clock=here.clock)
    with pytest.raises(RailSilent):
        await looking.look()
    assert [await state(here, each) for each in told] == [None, "OPEN", "OPEN"]
    deaf.to = ""
    here.clock.forward(timedelta(days=1))
    await looking.look()
    assert [await state(here, each) for each in told] == ["OPEN", "OPEN", "OPEN"]


async def test_what_the_provider_takes_back_is_a_case_once(here: World) -> None:
    """Also after people have closed it, though the list shows it again and again."""
    ((_, dispute),) = await contested(here)
    for won in (True, False):
        await end(here, dispute, won=won)
        await here.disputes.look()
    for case in await here.cashier.queue(None, None, 10):
        await decide(here, case, Decision.CLOSE)
    await here.disputes.look()
    told = sorted(reason for _, reason in await cases(here))
    assert told == [f"dispute-was-won:{dispute}", f"dispute:{dispute}"]


def provider_of(here: World) -> CardProvider:
    return here.disputes._provider


class Deaf(CardProvider):
    """The provider, which does not answer for one object."""

    def __init__(self, here: World, to: str) -> None:
        real = provider_of(here)
        super().__init__(real.name, real._client)
        self.to = to

    async def fetch(self, psp_id: str) -> Told | None:
        if psp_id == self.to:
            raise RailSilent("no answer")
        return await super().fetch(psp_id)
