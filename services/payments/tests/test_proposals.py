"""Proposals between one person and the other: who made them may be gone, and what is decided serves once."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
from payments.domain.cases import Case, Decision, Proposal
from payments.domain.refusals import DecisionImpossible, NoCashierNow
from payments.service.cashier import Verdict

from services.payments.tests.railhouse import OTHER_SENDER
from services.payments.tests.test_forged_rows import refusal
from services.payments.tests.test_suspense import NOBODYS, arrivals, decide, run, the_case
from services.payments.tests.world import World

RETURN = Verdict(Decision.RETURN, "another person sent it", None)


@pytest.fixture
async def case(here: World) -> Case:
    """Money in suspense, to be returned as Ana proposes."""
    await here.rail.transfer(NOBODYS, "70.00", sender=OTHER_SENDER)
    await run(here)
    waiting = await the_case(here)
    await here.propose(waiting, RETURN, "ana")
    return waiting


def dismissed(here: World, who: str) -> None:
    here.identity.roles[who] = None


def moved(here: World, who: str) -> None:
    here.identity.roles[who] = "official"


def careful(here: World, who: str) -> None:
    """Has changed their password, as one does whose session was stolen."""
    here.identity.proofs[who] = 2


GONE = pytest.mark.parametrize("goes", [dismissed, moved, careful])


@GONE
async def test_a_proposal_falls_with_who_made_it(
    here: World, case: Case, goes: Callable[[World, str], None]
) -> None:
    goes(here, "ana")
    refused = await here.approve(case, RETURN, "beto")
    assert (refused.status, "proposer-may-not" in refused.body) == (409, True)
    assert await arrivals(here) == ["SUSPENDED"]
    await here.propose(case, RETURN, "eva")
    assert (await here.approve(case, RETURN, "beto")).status == 200


async def test_who_changed_their_password_proposes_anew(here: World, case: Case) -> None:
    careful(here, "ana")
    await here.propose(case, RETURN, "ana")
    assert (await here.approve(case, RETURN, "beto")).status == 200


@GONE
async def test_nobody_approves_by_a_token_that_has_outlived_what_it_stood_on(
    here: World, case: Case, goes: Callable[[World, str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    shown, _ = await here.cashier.case(case.id)
    beto = here.clerk("beto")
    goes(here, "beto")
    monkeypatch.setattr(here, "clerk", {"beto": beto}.__getitem__)  # the token that he still has
    with pytest.raises(NoCashierNow):
        await here.approve_seen(case, Proposal(shown.proposal, Decision.RETURN), "beto")
    assert await arrivals(here) == ["SUSPENDED"]


async def test_while_identity_cannot_be_asked_nothing_is_approved(here: World, case: Case) -> None:
    here.identity.silent = True
    with pytest.raises(DecisionImpossible, match="cannot be asked"):
        await here.approve(case, RETURN, "beto")
    here.identity.silent = False
    assert (await here.approve(case, RETURN, "beto")).status == 200


@pytest.mark.parametrize("who", ["ana", "eva"])
async def test_what_was_proposed_anew_is_looked_at_anew(here: World, case: Case, who: str) -> None:
    """Though it is the same: by another person, or for another reason."""
    seen, _ = await here.cashier.case(case.id)
    await here.propose(case, replace(RETURN, note="for another reason"), who)
    shown = Proposal(seen.proposal, Decision.RETURN)
    assert (await here.approve_seen(case, shown, "beto")).status == 409
    shown = replace(shown, number=seen.proposal + 1)
    assert (await here.approve_seen(case, shown, "beto")).status == 200


async def test_of_several_who_approve_at_once_one_decides(here: World, case: Case) -> None:
    answers = await asyncio.gather(
        *(here.approve(case, RETURN, who) for who in ("beto", "eva", "leo", "mia"))
    )
    assert sorted(each.status for each in answers) == [200, 409, 409, 409]
    await run(here)
    assert here.ledger.kinds().count("suspense.return") == 1


async def test_what_was_proposed_before_it_stood_on_anything_is_proposed_anew(
    here: World, case: Case
) -> None:
    await here.owner.execute("UPDATE review_case SET proposed_on = NULL")
    assert (await here.approve(case, RETURN, "beto")).status == 409


@pytest.mark.usefixtures("case")
async def test_the_database_decides_nothing_of_who_is_not_confirmed(here: World) -> None:
    decided = (
        "UPDATE review_case SET state = 'DECIDED', decided_by = 'beto', decided_at = now(), confirmed_on = {}"
    )
    for other in ("NULL", "2"):
        assert await refusal(here, decided.format(other)) == "review_case_proposer_still_may", other
    both = decided.format("2, proposed_on = 2")
    assert await refusal(here, both) == "review_case_is_decided_as_proposed"
    assert await refusal(here, decided.format("1")) is None


async def _returned_once(here: World) -> str:
    """Its return was decided, and the rail has sent it back to suspense."""
    await here.rail.transfer(NOBODYS, "70.00", sender=OTHER_SENDER)
    await run(here)
    await here.rail.put(f"/accounts/{OTHER_SENDER}", {"state": "closed"})
    await decide(here, await the_case(here), Decision.RETURN)
    await run(here)
    assert await arrivals(here) == ["SUSPENDED"]
    return "UPDATE arrival SET state = 'RETURN_SENDING', return_clave = 'AGAIN'"


async def _asked_again_once(here: World) -> str:
    """Its sources contradict each other still, after people had them looked at again."""
    transfer = await here.rail.transfer(NOBODYS, "70.00")
    told = {
        "date": transfer.operation_date.isoformat(),
        "institution": transfer.institution,
        "clave": transfer.clave,
    }
    await here.rail.put("/central-bank/lies", told | {"status": "devuelto"})
    await run(here)
    await decide(here, await the_case(here), Decision.ASK_AGAIN)
    await run(here)
    assert await here.owner.fetchval("SELECT state FROM proof") == "CONFLICTED"
    return "UPDATE arrival SET state = 'NOTED' WHERE state = 'QUARANTINED'; UPDATE proof SET state = 'ASKED', reason = NULL"


@pytest.mark.parametrize(
    ("come_back", "constraint"),
    [
        (_returned_once, "arrival_is_decided_by_people"),
        (_asked_again_once, "proof_is_asked_again_by_people"),
    ],
)
async def test_a_decision_serves_once(
    here: World, come_back: Callable[[World], Awaitable[str]], constraint: str
) -> None:
    """What came back is decided on anew: the decision that took it away lies ready for nobody."""
    once_more = await come_back(here)
    assert await refusal(here, once_more) == constraint
