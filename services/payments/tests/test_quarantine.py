"""Deposits in quarantine, whoever holds payments' own role: they leave it as people have decided."""

from payments.domain.accounts import PlayerId
from payments.domain.cases import Decision
from payments.domain.deposits import Deposit, DepositState

from services.payments.tests.test_forged_rows import refusal
from services.payments.tests.test_suspense import arrivals, decide, run, the_case
from services.payments.tests.world import World, new_player


async def quarantined(here: World) -> tuple[PlayerId, Deposit]:
    """A deposit on which the two sources do not agree: the statement says ten times as much."""
    player = new_player()
    transfer = await here.rail.transfer(
        await here.requests.own_clabe(player), "70.00", statement_amount="700.00"
    )
    answer = await here.claim(player, transfer, "700.00")
    await run(here)
    deposit = await here.deposit(player, answer)
    assert deposit.state is DepositState.QUARANTINED
    return player, deposit


LEAVE = "UPDATE deposit SET state = $1 WHERE state = 'QUARANTINED'"
TAKE = """
    INSERT INTO arrival (id, tracking_key, clave, operation_date, institution, beneficiary_clabe, ordering_account, ordering_name,
                         amount, currency, reason, deposit_id)
    SELECT gen_random_uuid(), {key}, {clave}, d.operation_date, d.institution, '', '', 'x', d.amount, 'MXN', 'x', d.id
      FROM deposit d
"""
HONEST = {"key": "d.tracking_key", "clave": "d.clave"}


async def test_a_deposit_leaves_quarantine_only_as_people_have_decided(here: World) -> None:
    player, deposit = await quarantined(here)
    for state in ("REJECTED", "SUSPENDED"):
        assert await refusal(here, LEAVE, state) == "deposit_leaves_quarantine_as_decided", state
    case = await the_case(here)
    await decide(here, case, Decision.SUSPEND)
    for state in ("REJECTED", "SUSPENDED"):  # that is something else, and its money is not there
        assert await refusal(here, LEAVE, state) == "deposit_leaves_quarantine_as_decided", state
    assert (await here.requests.deposit(player, deposit.id)).state is DepositState.QUARANTINED


async def test_a_deposit_is_rejected_by_people(here: World) -> None:
    player, deposit = await quarantined(here)
    await decide(here, await the_case(here), Decision.REJECT)
    assert (await here.requests.deposit(player, deposit.id)).state is DepositState.REJECTED


async def test_a_deposit_goes_to_suspense_only_as_people_have_decided(here: World) -> None:
    await quarantined(here)
    taken = TAKE.format(**HONEST)
    assert await refusal(here, taken) == "arrival_is_taken_as_decided"
    misnamed = "UPDATE deposit SET reason = 'name-differs'"
    assert await refusal(here, misnamed) == "deposit_quarantine_reason_stays", "then nobody would be asked"
    assert await arrivals(here) == []
    await here.owner.execute("SET session_replication_role = replica")
    await here.owner.execute(misnamed)
    await here.owner.execute("SET session_replication_role = origin")
    assert await refusal(here, taken) is None
    another = TAKE.format(key="replace(d.tracking_key, upper(d.clave), 'ANOTHER')", clave="'ANOTHER'")
    assert await refusal(here, another) == "arrival_is_taken_as_decided", "another transfer"
