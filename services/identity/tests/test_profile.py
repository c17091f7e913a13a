"""One's own account: address, name, documents, history, export, closing; and letters by SMTP."""

import asyncio
import json
from uuid import uuid4

import pytest
from aiohttp import ClientResponse
from identity.domain.codes import MessageKind
from identity.messengers import NotSent, letter, messenger
from stdnum.br import cnpj, cpf
from stdnum.mx import rfc

from services.identity.tests.conftest import MakeClient
from services.identity.tests.people import Client, Letters, Owner, as_user, login, papers, register

RFC = "BOLW900517AB"
RFC += rfc.calc_check_digit(RFC)
OTHER_RFC = "BOLW900518AB"
OTHER_RFC += rfc.calc_check_digit(OTHER_RFC)
CPF = "390533447" + cpf._calc_check_digits("390533447")
CNPJ = "16727230000197"


@pytest.fixture
async def me(client: Client) -> dict[str, str]:
    await register(client, papers().body)
    return await as_user(client, await login(client, papers()))


async def slug(answer: ClientResponse) -> tuple[int, str]:
    return answer.status, str((await answer.json()).get("type", "")).removeprefix("/problems/")


async def test_an_address_is_verified_by_what_arrives_there(
    client: Client, me: dict[str, str], letters: Letters, owner: Owner
) -> None:
    assert (await client.post("/v1/me/email/code", headers=me)).status == 202
    code = await letters.code("email-code", to=papers().email)
    wrong = {"code": f"{(int(code) + 1) % 10**8:08d}"}
    assert await slug(await client.post("/v1/me/email/verify", json=wrong, headers=me)) == (400, "wrong-code")
    answer = await client.post("/v1/me/email/verify", json={"code": code}, headers=me)
    assert (await answer.json())["email_verified_at"] is not None
    again = await client.post("/v1/me/email/verify", json={"code": code}, headers=me)
    assert await slug(again) == (400, "wrong-code")
    assert "identity.contact.verified.v1" in await told(owner)


async def told(owner: Owner) -> list[str]:
    rows = await owner.fetch("SELECT routing_key FROM outbox WHERE aggregate LIKE 'users/%' ORDER BY version")
    return [row[0] for row in rows]


async def test_a_change_is_told_remembered_and_undoes_the_verification(
    client: Client, me: dict[str, str], letters: Letters, owner: Owner
) -> None:
    await client.post("/v1/me/email/code", headers=me)
    code = await letters.code("email-code", to=papers().email)
    await client.post("/v1/me/email/verify", json={"code": code}, headers=me)
    change = {"email": "nueva@example.mx", "full_name": "Wanda Bolaños Ruiz"}
    changed = await (await client.patch("/v1/me", json=change, headers=me)).json()
    assert (changed["email"], changed["email_verified_at"]) == ("nueva@example.mx", None)
    assert await letters.wait("email-changed", to=papers().email)
    assert await letters.code("email-code", to="nueva@example.mx")
    before = (await (await client.get("/v1/me/history", headers=me)).json())["items"]
    assert [(each["version"], each["email"], each["full_name"]) for each in before] == [
        (1, papers().email, "Wanda Bolaños"),
        (2, papers().email, "Wanda Bolaños"),
    ]
    assert await told(owner) == [
        "identity.user.registered.v1",
        "identity.contact.verified.v1",
        "identity.profile.changed.v1",
    ]
    await client.patch("/v1/me", json=change, headers=me)
    assert len(await told(owner)) == 3


async def test_somebody_elses_address_is_not_taken(client: Client, me: dict[str, str]) -> None:
    await register(client, papers(1).body)
    answer = await client.patch("/v1/me", json={"email": papers(1).email}, headers=me)
    assert await slug(answer) == (409, "already-registered")


async def test_further_documents_are_checked_and_one_persons(client: Client, me: dict[str, str]) -> None:
    for kind, value in (("rfc", RFC), ("cpf", "390.533.447-05"), ("cnpj", "16.727.230/0001-97")):
        answer = await client.post("/v1/me/documents", json={"kind": kind, "value": value}, headers=me)
        assert answer.status == 200, await answer.text()
    shown = (await (await client.get("/v1/me/documents", headers=me)).json())["items"]
    assert {each["kind"]: each["value"] for each in shown} == {
        "curp": papers().curp,
        "rfc": RFC,
        "cpf": CPF,
        "cnpj": CNPJ,
    }
    bad: list[tuple[str, str, tuple[int, str]]] = [
        ("rfc", RFC[:-1] + ("A" if RFC[-1] != "A" else "0"), (400, "invalid-document")),
        ("cpf", "39053344700", (400, "invalid-document")),
        ("cpf", "111.111.111-11", (400, "invalid-document")),
        ("cnpj", "16727230000196", (400, "invalid-document")),
        ("curp", papers().curp[:-1], (400, "invalid-document")),
        ("rfc", OTHER_RFC, (400, "document-not-yours")),
        ("curp", papers(5).curp, (409, "document-taken")),
        ("passport", "G1234", (400, "invalid-request")),
    ]
    for kind, value, outcome in bad:
        answer = await client.post("/v1/me/documents", json={"kind": kind, "value": value}, headers=me)
        assert await slug(answer) == outcome, (kind, value)
    await register(client, papers(1).body)
    other = await as_user(client, await login(client, papers(1)))
    answer = await client.post("/v1/me/documents", json={"kind": "cpf", "value": CPF}, headers=other)
    assert await slug(answer) == (409, "document-taken")


async def test_one_may_register_with_another_countrys_document(client: Client, owner: Owner) -> None:
    body = {key: value for key, value in papers().body.items() if key != "curp"}
    cases: list[tuple[dict[str, object], tuple[int, str]]] = [
        ({}, (400, "document-missing")),
        ({"curp": papers().curp, "document": {"kind": "cpf", "value": CPF}}, (400, "document-missing")),
        ({"document": {"kind": "cpf", "value": CPF}}, (400, "birth-date-missing")),
        ({"document": {"kind": "cpf", "value": CPF}, "birth_date": "2015-01-01"}, (422, "underage")),
        (
            {"document": {"kind": "cnpj", "value": CNPJ}, "birth_date": "1990-05-17"},
            (400, "not-a-persons-document"),
        ),
        (
            {"document": {"kind": "rfc", "value": RFC}, "birth_date": "1990-05-18"},
            (400, "birth-date-mismatch"),
        ),
        ({"document": {"kind": "cpf", "value": CPF}, "birth_date": "1990-05-17"}, (201, "")),
    ]
    for change, outcome in cases:
        assert await slug(await register(client, {**body, **change})) == outcome, change
    assert await owner.fetchval("SELECT kind || value FROM holder_document") == f"cpf{CPF}"
    assert cnpj.is_valid(CNPJ)


async def test_everything_known_is_taken_along_and_nothing_of_others(
    client: Client, me: dict[str, str]
) -> None:
    await register(client, papers(1).body)
    headers = {**me, "Idempotency-Key": str(uuid4())}
    await client.post("/v1/devices", json={"name": "Teléfono"}, headers=headers)
    await client.patch("/v1/me", json={"full_name": "Wanda B"}, headers=me)
    await client.post("/v1/play/exclusion", json={"length": "1-day"}, headers=me)
    answer = await client.get("/v1/me/export", headers=me)
    whole = await answer.json()
    assert whole["play"]["excluded_until"] is not None
    assert answer.headers["Content-Disposition"].startswith("attachment")
    assert [each["value"] for each in whole["documents"]] == [papers().curp]
    assert [each["full_name"] for each in whole["history"]] == ["Wanda Bolaños"]
    assert [each["name"] for each in whole["devices"]] == ["Teléfono"]
    assert len(whole["sessions"]) == 1
    text = json.dumps(whole)
    assert papers(1).curp not in text
    assert "argon2" not in text


async def test_closing_ends_every_session_and_keeps_the_person_known(
    client: Client, me: dict[str, str], letters: Letters, owner: Owner
) -> None:
    session = await login(client, papers())
    closed = await client.post("/v1/me/close", headers=me)
    assert (await closed.json())["closed_at"] is not None
    gone = await client.post("/internal/token", json={"session": session, "audience": "ledger"})
    assert gone.status == 401
    assert await letters.wait("account-closed", to=papers().email)
    assert "identity.account.closed.v1" in await told(owner)
    back = await as_user(client, await login(client, papers()))
    assert await slug(await client.patch("/v1/me", json={"full_name": "Otra"}, headers=back)) == (
        403,
        "account-closed",
    )
    session = await login(client, papers())
    assert await slug(await client.post("/v1/me/close", headers=back)) == (403, "account-closed")
    still = await client.post("/internal/token", json={"session": session, "audience": "ledger"})
    assert still.status == 200, "what is refused ends nobody's session"
    headers = {**back, "Idempotency-Key": str(uuid4())}
    assert await slug(await client.post("/v1/devices", json={"name": "x"}, headers=headers)) == (
        403,
        "account-closed",
    )
    again = await register(client, {**papers().body, "email": "otra@example.mx"})
    assert await slug(again) == (409, "already-registered")


class MailServer:
    """A small real SMTP server (RFC 5321) that takes mail, or refuses the first so many."""

    def __init__(self, *, refuse: int = 0) -> None:
        self.mails: list[str] = []
        self._refuse = refuse

    async def __aenter__(self) -> "MailServer":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail\r\n")
        while line := await reader.readline():
            match line.split()[0].upper():
                case b"DATA":
                    writer.write(b"354 go on\r\n")
                    mail = await reader.readuntil(b"\r\n.\r\n")
                    if self._refuse:
                        self._refuse -= 1
                        writer.write(b"451 later\r\n")
                    else:
                        self.mails.append(mail.decode())
                        writer.write(b"250 taken\r\n")
                case b"QUIT":
                    writer.write(b"221 bye\r\n")
                    break
                case _:
                    writer.write(b"250 ok\r\n")
        writer.close()


async def test_letters_leave_by_smtp_and_one_that_was_refused_leaves_later(
    make_client: MakeClient, owner: Owner
) -> None:
    async with MailServer(refuse=1) as mail, make_client(messenger_url=mail.url) as client:
        await register(client, papers().body)
        await client.post("/v1/password/forgot", json={"email": papers().email})
        async with asyncio.timeout(10):
            while not await owner.fetchval("SELECT count(*) FROM outbound_message WHERE attempts = 1"):
                await asyncio.sleep(0.05)
            await asyncio.sleep(0.2)
            await owner.execute("UPDATE outbound_message SET retry_at = now()")
            while not mail.mails:
                await asyncio.sleep(0.05)
        assert f"To: {papers().email}" in mail.mails[0]
        assert len(mail.mails) == 1


async def test_a_mail_server_that_is_away_is_told() -> None:
    outside = messenger("smtp://127.0.0.1:1", sender="x@example.mx")
    with pytest.raises(NotSent):
        await outside.send(letter("a@example.mx", MessageKind.ACCOUNT_CLOSED, ""))
    with pytest.raises(ValueError, match="no messenger"):
        messenger("carrier-pigeon:", sender="")


async def test_an_address_that_no_mail_can_be_written_to_is_not_sent_to() -> None:
    """It ended the sender's round, again every minute, and what else was due waited."""
    outside = messenger("smtp://127.0.0.1:1", sender="x@example.mx")
    for address in ("=?utf-8?q?=0aevil?=@example.mx", "a\n@example.mx"):
        with pytest.raises(NotSent):
            await outside.send(letter(address, MessageKind.ACCOUNT_CLOSED, ""))


@pytest.mark.parametrize(
    "address", ["=?utf-8?q?=0aevil?=@example.mx", "=?utf-8?q?a=40b.mx=3e?=@example.mx", "a=?x?q?y@example.mx"]
)
async def test_an_address_is_read_in_one_way(client: Client, me: dict[str, str], address: str) -> None:
    """A mail program takes part of these for another address, or cannot write them at all."""
    refused = await register(client, {**papers(1).body, "email": address})
    assert await slug(refused) == (400, "invalid-email")
    assert (await refused.json())["field"] == "email"
    assert await slug(await client.patch("/v1/me", json={"email": address}, headers=me)) == (
        400,
        "invalid-email",
    )
    assert (await client.post("/v1/password/forgot", json={"email": address})).status == 202


async def test_changing_the_address_sends_no_more_codes_than_asking_for_them(
    client: Client, me: dict[str, str], letters: Letters
) -> None:
    """Each change writes to an address of the caller's choice, so it was a way to write to anybody without end."""
    found = [
        (await client.patch("/v1/me", json={"email": f"victim{number}@example.mx"}, headers=me)).status
        for number in range(8)
    ]
    assert found == [200] * 5 + [429] * 3
    assert (await (await client.get("/v1/me", headers=me)).json())["email"] == "victim4@example.mx"
    assert (await client.patch("/v1/me", json={"full_name": "Otra Persona"}, headers=me)).status == 200
    same = {"email": "victim4@example.mx", "full_name": "Wanda Ruiz"}
    assert (await client.patch("/v1/me", json=same, headers=me)).status == 200
    for number in range(5):  # they come in no order
        await letters.wait("email-code", to=f"victim{number}@example.mx")
    assert sum(each["kind"] == "email-code" for each in letters.all()) == 5


async def test_one_address_is_not_written_to_by_many_accounts(client: Client) -> None:
    """Of those who claim it in turn, five have a code sent there."""
    statuses = []
    for number in range(1, 8):
        await register(client, papers(number).body)
        headers = await as_user(client, await login(client, papers(number)))
        statuses.append(
            (await client.patch("/v1/me", json={"email": "victim@example.mx"}, headers=headers)).status
        )
        await client.patch("/v1/me", json={"email": papers(number).email}, headers=headers)
    assert statuses == [200] * 5 + [429] * 2
