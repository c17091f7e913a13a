"""What two sources make of a claim. The cadena is one as the central bank writes it."""

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from common.money import Money
from hypothesis import given
from hypothesis import strategies as st
from payments.domain.accounts import Clabe
from payments.domain.deposits import Transfer
from payments.domain.evidence import (
    Cep,
    Contradictory,
    Document,
    Finding,
    NotYet,
    Proven,
    RailStatus,
    StatementLine,
    Unfounded,
    UnreadableCadena,
    judge,
    parse_cadena,
)
from payments.domain.holders import Holder

OWN = Clabe("646180157000000004")
SENDER = "002010077777777771"
AMOUNT = Money.parse("3414.95", "MXN")
TRANSFER = Transfer("BiB202411081016248360", date(2026, 11, 20), "40002")
FIELDS = (
    ["", "", "1", "20112026", "20112026", "105336", "90646", "Banamex", "Ana López", "40", SENDER, "ND"]
    + [
        "STP",
        "El Carril",
        "40",
        OWN,
        "ND",
        "CONCEPTO",
        "0.00",
        "3414.95",
        "NA",
        "NA",
        "0",
        "0",
        "NA",
        "0",
        "0.00",
    ]
    + ["NA"] * 17
    + ["00000100000100014853", "", "WtvkPvCMGKSaj+B/XPUn=="]
)


def cadena(**changed: str) -> str:
    places = {"amount": 19, "clabe": 15, "sender": 10, "day": 4, "time": 5}
    fields = list(FIELDS)
    for name, value in changed.items():
        fields[places[name]] = value
    return "|".join(fields)


LINE = StatementLine(TRANSFER, OWN, SENDER, AMOUNT, RailStatus.LIQUIDATED)
DOCUMENT = Document(TRANSFER.clave, TRANSFER.operation_date, OWN, SENDER, "Ana López", AMOUNT, cadena())
CEP = Cep(RailStatus.LIQUIDATED, DOCUMENT)


def verdict(
    line: StatementLine | None = LINE, cep: Cep | None = CEP, claimed: Money = AMOUNT, own: Clabe = OWN
) -> Finding:
    return judge(transfer=TRANSFER, claimed=claimed, own=own, line=line, cep=cep, holder=Holder("Ana López"))


def with_document(**changed: object) -> Cep:
    return Cep(RailStatus.LIQUIDATED, replace(DOCUMENT, **changed))  # type: ignore[arg-type] # a test's brevity


class TestCadena:
    def test_it_has_47_fields_and_the_amount_at_19(self) -> None:
        read = parse_cadena(cadena())
        assert len(cadena().split("|")) == 47
        assert read.amount == AMOUNT
        assert read.beneficiary_clabe == OWN
        assert read.ordering_account == SENDER
        assert read.occurred_at.astimezone(UTC) == datetime(2026, 11, 20, 16, 53, 36, tzinfo=UTC)

    @pytest.mark.parametrize(
        "text",
        [
            "",
            cadena() + "|",
            cadena().removeprefix("|"),
            cadena(amount="NaN"),
            cadena(amount="Infinity"),
            cadena(amount="1e3"),
            cadena(amount="-5.00"),
            cadena(amount="0.00"),
            cadena(amount="3414.955"),
            cadena(amount="3,414.95"),
            cadena(day="32132026"),
            cadena(time=""),
        ],
    )
    def test_anything_else_is_not_read(self, text: str) -> None:
        with pytest.raises(UnreadableCadena):
            parse_cadena(text)

    @given(st.text(max_size=400))
    def test_no_text_breaks_it(self, text: str) -> None:
        with pytest.raises(UnreadableCadena):
            parse_cadena(text)


class TestJudgement:
    def test_two_sources_that_agree_prove_it(self) -> None:
        found = verdict()
        assert isinstance(found, Proven)
        assert found.amount == AMOUNT
        assert found.ordering_account == SENDER
        assert len(found.document_sha256) == 32

    @pytest.mark.parametrize(("line", "cep"), [(None, None), (LINE, None), (None, CEP)])
    def test_one_source_is_none(self, line: StatementLine | None, cep: Cep | None) -> None:
        assert verdict(line, cep) == NotYet("not-found")

    def test_in_process_is_waited_for(self) -> None:
        waiting = replace(LINE, status=RailStatus.IN_PROCESS)
        assert verdict(line=waiting) == NotYet("in-process")
        assert verdict(cep=Cep(RailStatus.IN_PROCESS, None)) == NotYet("in-process")
        assert verdict(cep=Cep(RailStatus.LIQUIDATED, None)) == NotYet("in-process")

    @pytest.mark.parametrize("status", [RailStatus.REJECTED, RailStatus.CANCELLED, RailStatus.RETURNED])
    def test_a_transfer_that_failed_is_no_deposit(self, status: RailStatus) -> None:
        assert isinstance(verdict(replace(LINE, status=status), Cep(status, None)), Unfounded)
        assert verdict(replace(LINE, status=status)) == Contradictory("status-differs")

    def test_another_players_money_stays_theirs(self) -> None:
        assert verdict(own=Clabe("646180157000000017")) == Unfounded("not-your-clabe")

    def test_the_claim_names_the_amount_the_rail_does(self) -> None:
        assert verdict(claimed=AMOUNT + Money.parse("0.01", "MXN")) == Unfounded("amount-differs")

    @pytest.mark.parametrize(
        "cep",
        [
            with_document(amount=AMOUNT + AMOUNT),
            with_document(cadena=cadena(amount="3414.96")),
            with_document(beneficiary_clabe="646180157000000017"),
            with_document(cadena=cadena(clabe="646180157000000017")),
            with_document(ordering_account="646180157000000017"),
            with_document(cadena=cadena(sender="646180157000000017")),
            with_document(clave="OTHER"),
            with_document(operation_date=date(2026, 11, 19)),
            with_document(cadena="||1|"),
        ],
    )
    def test_sources_that_contradict_each_other_prove_nothing(self, cep: Cep) -> None:
        assert isinstance(verdict(cep=cep), Contradictory)

    def test_a_statement_that_lies_proves_nothing(self) -> None:
        assert isinstance(verdict(line=replace(LINE, amount=AMOUNT + AMOUNT)), Contradictory)
        assert isinstance(verdict(line=replace(LINE, beneficiary_clabe="646180157000000017")), Contradictory)
        assert isinstance(verdict(line=replace(LINE, transfer=replace(TRANSFER, clave="X"))), Contradictory)

    @given(
        st.decimals(min_value=Decimal("0.01"), max_value=Decimal("99999.99"), places=2),
        st.decimals(min_value=Decimal("0.01"), max_value=Decimal("99999.99"), places=2),
        st.decimals(min_value=Decimal("0.01"), max_value=Decimal("99999.99"), places=2),
        st.decimals(min_value=Decimal("0.01"), max_value=Decimal("99999.99"), places=2),
    )
    def test_nothing_but_full_agreement_is_proof(
        self, claimed: Decimal, stated: Decimal, told: Decimal, sealed: Decimal
    ) -> None:
        found = judge(
            transfer=TRANSFER,
            claimed=Money(claimed, "MXN"),
            own=OWN,
            line=replace(LINE, amount=Money(stated, "MXN")),
            cep=with_document(amount=Money(told, "MXN"), cadena=cadena(amount=f"{sealed:.2f}")),
            holder=Holder("Ana López"),
        )
        assert isinstance(found, Proven) == (claimed == stated == told == sealed)
