"""The simulated rail itself: its truth survives kill -9, its claves are idempotent, its CEP is the real one's shape."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree

import pytest
from payments.domain.evidence import parse_cadena

from services.payments.tests.railhouse import OTHER_SENDER, SENDER, RailProcess, free_port
from tools.rail.truth import TruthLog

TO = "646180157000000004"


@pytest.fixture
async def own_rail(tmp_path: Path) -> AsyncIterator[RailProcess]:
    process = RailProcess(tmp_path / "rail.jsonl", free_port())
    process.start()
    yield process
    process.kill()


def an_order(**changed: str) -> dict[str, str]:
    return {
        "clave": "ORDER1",
        "ordering_clabe": TO,
        "beneficiary_clabe": SENDER,
        "beneficiary_name": "Ana",
        "amount": "5.00",
    } | changed


async def test_everything_answered_survives_kill_9(own_rail: RailProcess) -> None:
    transfers = await asyncio.gather(*(own_rail.transfer(TO, f"{n}.00") for n in range(1, 21)))
    await own_rail.post("/orders", an_order())
    await own_rail.put(f"/accounts/{OTHER_SENDER}", {"state": "closed"})
    before = await own_rail.get("/truth")
    own_rail.kill()
    with own_rail.state_file.open("ab") as torn:
        torn.write(b'{"fact": "transfer", "clave": "TORN", "amo')
    own_rail.start()
    assert await own_rail.get("/truth") == before
    assert before[1] == {"received": "210.00", "paid": "5.00", "transfers": 20, "orders": 1}
    for transfer in transfers:
        where = {"date": transfer.operation_date.isoformat(), "institution": transfer.institution}
        assert (await own_rail.get(f"/abonos/{transfer.clave}", **where))[0] == 200
    rejected = await own_rail.post("/orders", an_order(clave="ORDER2", beneficiary_clabe=OTHER_SENDER))
    assert rejected[1]["status"] == "rechazado"
    own_rail.kill()
    own_rail.start()
    assert (await own_rail.get("/orders/ORDER2"))[1]["status"] == "rechazado"


async def test_an_order_is_taken_once_under_its_clave(rail: RailProcess) -> None:
    before = (await rail.get("/truth"))[1]["orders"]
    answers = await asyncio.gather(*(rail.post("/orders", an_order(clave="ONCE")) for _ in range(16)))
    assert {status for status, _ in answers} == {201}
    assert (await rail.get("/truth"))[1]["orders"] == before + 1  # type: ignore[operator] # a JSON number
    status, told = await rail.post("/orders", an_order(clave="once", amount="6.00"))
    assert (status, told["code"]) == (409, "clave-repetida")


async def test_a_transfer_asked_for_again_is_the_same_transfer(rail: RailProcess) -> None:
    first = await rail.transfer(TO, "5.00", clave="SAME1")
    assert await rail.transfer(TO, "5.00", clave="same1") == first
    status, told = await rail.post(
        "/transfers",
        {
            "beneficiary_clabe": TO,
            "ordering_clabe": SENDER,
            "ordering_name": "Ana",
            "amount": "6.00",
            "clave": "SAME1",
        },
    )
    assert (status, told["code"]) == (409, "clave-repetida")


async def test_the_cep_has_the_real_ones_shape(rail: RailProcess) -> None:
    transfer = await rail.transfer(TO, "3414.95", name="Ana | López", concept="Apuesta <1>")
    where = {
        "clave": transfer.clave,
        "date": transfer.operation_date.isoformat(),
        "institution": transfer.institution,
    }
    status, told = await rail.get("/cep", **where)
    assert (status, told["status"]) == (200, "liquidado")
    root = ElementTree.fromstring(told["document"])  # noqa: S314 - our own rail's
    assert root.tag == "SPEI_Tercero"
    assert root.attrib["claveRastreo"] == transfer.clave
    assert transfer.clave not in root.attrib["cadenaCDA"]
    assert root.attrib["cadenaCDA"].endswith(f"||{root.attrib['sello']}")
    read = parse_cadena(root.attrib["cadenaCDA"])
    assert str(read.amount) == "3414.95"
    assert (read.beneficiary_clabe, read.ordering_account) == (TO, SENDER)
    assert abs((datetime.now(UTC) - read.occurred_at).total_seconds()) < 60
    assert {child.tag for child in root} == {"Beneficiario", "Ordenante"}


async def test_two_equal_transfers_have_two_documents(rail: RailProcess) -> None:
    documents = set()
    for _ in range(2):
        transfer = await rail.transfer(TO, "5.00")
        where = {"clave": transfer.clave, "institution": transfer.institution}
        _, told = await rail.get("/cep", date=transfer.operation_date.isoformat(), **where)
        documents.add(ElementTree.fromstring(told["document"]).attrib["cadenaCDA"])  # noqa: S314
    assert len(documents) == 2


async def test_in_process_ends_by_itself(rail: RailProcess) -> None:
    transfer = await rail.transfer(TO, "5.00", delay_seconds=2)
    where = {
        "clave": transfer.clave,
        "date": transfer.operation_date.isoformat(),
        "institution": transfer.institution,
    }
    assert (await rail.get("/cep", **where))[1] == {"status": "en proceso", "document": None}
    await asyncio.sleep(2)
    assert (await rail.get("/cep", **where))[1]["status"] == "liquidado"


@pytest.mark.parametrize(
    "wrong",
    [
        {"amount": 5.0},
        {"amount": "5"},
        {"amount": "-5.00"},
        {"ordering_clabe": "002010077777777770"},
        {"x": "y"},
    ],
)
async def test_what_makes_no_sense_is_refused(rail: RailProcess, wrong: dict[str, object]) -> None:
    wish = {"beneficiary_clabe": TO, "ordering_clabe": SENDER, "ordering_name": "Ana", "amount": "5.00"}
    assert (await rail.post("/transfers", wish | wrong))[0] == 400


def test_an_empty_log_is_an_empty_book(tmp_path: Path) -> None:
    log = TruthLog(tmp_path / "new" / "rail.jsonl")
    assert log.replay().transfers == {}
    log.close()
