"""The provider's settlement files: matched line by line, or rejected."""

from decimal import Decimal

import pytest
from payments.domain.cards import Act, OperationState
from payments.domain.payout_files import parse_payout
from payments.domain.refusals import BadPayoutFile

from services.payments.tests.card_scene import captured, cases, found
from services.payments.tests.world import World, new_player
from tools.chaos_psp.faults import Faults


@pytest.mark.parametrize(
    "fault", ["file_line_missing", "file_line_duplicated", "file_line_altered", "file_line_shifted"]
)
async def test_a_lying_settlement_file_leaves_a_break_and_books_the_rest(here: World, fault: str) -> None:
    player = new_player()
    honest, lied = await captured(here, player, "70.00"), await captured(here, player, "30.00")
    # The fate of each is drawn from the seed: this one strikes the second alone.
    other = (await found(here, honest))[0].card_token
    target = (await found(here, lied))[0].card_token
    seed, rate = _seed_that_strikes(fault, f"{target}:capture:30.00", f"{other}:capture:70.00")
    await here.psp.ask("PUT", "/control/faults", {"seed": seed, "rates": {fault: rate}})
    await here.psp.ask("POST", "/control/payout")
    await here.settlements.import_new()
    await here.run_cards()
    assert (await found(here, honest))[1][Act.CAPTURE].state is OperationState.CLEARED
    lied_state = (await found(here, lied))[1][Act.CAPTURE].state
    breaks = {reason for subject, reason in await cases(here) if subject == "payout_line"}
    match fault:
        case "file_line_missing" | "file_line_shifted":
            assert (lied_state, breaks) == (OperationState.BOOKED, set())
        case "file_line_duplicated":
            assert (lied_state, breaks) == (OperationState.CLEARED, {"DUPLICATE"})
        case _:
            assert (lied_state, breaks) == (OperationState.BOOKED, {"AMOUNT_MISMATCH"})


def _seed_that_strikes(fault: str, target: str, other: str) -> tuple[int, float]:

    for seed in range(1000):
        faults = Faults(seed, {fault: 0.5})
        if faults.strikes(fault, target) and not faults.strikes(fault, other):
            return seed, 0.5
    raise AssertionError("no such seed")


async def test_a_file_that_does_not_add_up_is_rejected(here: World) -> None:
    await captured(here, new_player(), "70.00")
    lines = "H,PO-1,MXN,0.00\nL,op_1,capture,70.00,2.52\nT,67.49\n"
    with pytest.raises(BadPayoutFile):
        parse_payout(lines)
    assert parse_payout(lines.replace("67.49", "67.48")).closing == Decimal("67.48")
    for broken in (
        "",
        "H,x\nT,0",
        lines.replace("MXN", "USD"),
        lines.replace("70.00", "NaN"),
        lines.replace("L,", "X,"),
    ):
        with pytest.raises(BadPayoutFile):
            parse_payout(broken)
