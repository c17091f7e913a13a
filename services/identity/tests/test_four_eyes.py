"""What takes two of the staff: appointments, roles, dismissals, second factors, KYC."""

import asyncio
import json
from uuid import UUID, uuid4

import asyncpg
import pyotp
import pytest
from common.testing import Database
from identity.domain.people import User, UserId
from identity.sessions import Lifetime, Origin, Sessions, SessionsUnavailable, StartedSession

from services.identity.tests.conftest import Appointed, Create, authenticator, code
from services.identity.tests.people import Client, Letters, Owner, Papers, as_user, login, papers, register
from services.identity.tests.staff import REASON, asked, decide, told

PNG = b"\x89PNG\r\n\x1a\n" + b"x" * 100
NEW_PASSWORD = "otra frase muy distinta"


def appointment(who: Papers, role: str = "official") -> dict[str, object]:
    return {"email": who.email, "full_name": who.full_name, "curp": who.curp, "role": role, **REASON}


async def test_two_administrators_appoint_and_the_appointed_activates_alone(
    client: Client, member: Appointed, letters: Letters, owner: Owner
) -> None:
    first, second = await member(1, "admin"), await member(2, "admin")
    new = papers(3)
    approval = await asked(client, first, "/v1/staff", appointment(new))
    assert await told(await decide(client, first, approval)) == (403, "four-eyes-needed")
    assert (await (await client.get("/v1/approvals", headers=second.headers)).json())["items"][0][
        "id"
    ] == approval
    assert (await decide(client, second, approval)).status == 200
    assert await told(await decide(client, second, approval)) == (409, "approval-decided")
    digits = await letters.code("activation-code", to=new.email)
    activation = {"email": new.email, "code": digits, "password": NEW_PASSWORD}
    activated = await client.post("/v1/staff/activate", json=activation)
    theirs = pyotp.parse_uri((await activated.json())["otpauth"])
    assert isinstance(theirs, pyotp.TOTP)
    proof = {"email": new.email, "password": NEW_PASSWORD, "code": code(theirs)}
    session = (await (await client.post("/v1/login", json=proof)).json())["session"]
    me = await (await client.get("/v1/me", headers=await as_user(client, session))).json()
    assert me["role"] == "official"
    assert await told(await client.post("/v1/staff/activate", json=activation)) == (400, "wrong-code")
    keys = [row[0] for row in await owner.fetch("SELECT routing_key FROM outbox ORDER BY id")]
    assert [key for key in keys if "approval" in key or "staff" in key][-3:] == [
        "identity.approval.requested.v1",
        "identity.approval.decided.v1",
        "identity.staff.created.v1",
    ]


async def test_a_refused_appointment_opens_nothing(client: Client, member: Appointed, owner: Owner) -> None:
    first, second = await member(1, "admin"), await member(2, "admin")
    approval = await asked(client, first, "/v1/staff", appointment(papers(3)))
    assert (await decide(client, second, approval, "refuse")).status == 200
    assert await told(await decide(client, second, approval)) == (409, "approval-decided")
    assert await owner.fetchval("SELECT count(*) FROM users") == 2


async def test_another_role_ends_the_sessions_of_the_old_one(
    client: Client, member: Appointed, owner: Owner
) -> None:
    first, second = await member(1, "admin"), await member(2, "admin")
    moved = await member(3, "official")
    approval = await asked(client, first, f"/v1/staff/{moved.id}/role", {"role": "auditor", **REASON})
    assert (await decide(client, second, approval)).status == 200
    assert await owner.fetchval("SELECT role FROM users WHERE id = $1::uuid", moved.id) == "auditor"
    gone = await client.post("/internal/token", json={"session": moved.session, "audience": "betting"})
    assert gone.status == 401
    past = await owner.fetchval("SELECT role FROM user_history WHERE user_id = $1::uuid", moved.id)
    assert past == "official"


async def test_who_was_dismissed_does_not_log_in(client: Client, member: Appointed, create: Create) -> None:
    first, second = await member(1, "admin"), await member(2, "admin")
    left = await member(3, "cashier")
    approval = await asked(client, first, f"/v1/staff/{left.id}/dismissal", {"reason": "se fue"})
    assert (await decide(client, second, approval)).status == 200
    _, said = await create(papers(3), role="cashier")
    proof = {
        "email": papers(3).email,
        "password": papers(3).password,
        "code": code(authenticator(said), steps=1),
    }
    assert await told(await client.post("/v1/login", json=proof)) == (403, "account-closed")


async def test_who_is_dismissed_while_logging_in_gets_no_session(
    client: Client, member: Appointed, create: Create, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = await member(1, "admin"), await member(2, "admin")
    left = await member(3, "cashier")
    approval = await asked(client, first, f"/v1/staff/{left.id}/dismissal", {"reason": "se fue"})
    _, said = await create(papers(3), role="cashier")
    start = Sessions.start

    async def start_late(
        sessions: Sessions, user: User, lifetime: Lifetime, origin: Origin
    ) -> StartedSession:
        monkeypatch.undo()
        assert (await decide(client, second, approval)).status == 200
        return await start(sessions, user, lifetime, origin)

    monkeypatch.setattr(Sessions, "start", start_late)
    proof = {
        "email": papers(3).email,
        "password": papers(3).password,
        "code": code(authenticator(said), steps=1),
    }
    assert await told(await client.post("/v1/login", json=proof)) == (401, "bad-credentials")


async def test_of_who_was_dismissed_the_gateways_have_heard_though_we_die_on_the_way(
    client: Client, member: Appointed, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = await member(1, "admin"), await member(2, "admin")
    left = await member(3, "cashier")
    approval = await asked(client, first, f"/v1/staff/{left.id}/dismissal", {"reason": "se fue"})
    end_all = Sessions.end_all

    async def dies(sessions: Sessions, user: UserId, *, but: UUID | None = None) -> tuple[UUID, ...]:
        if await owner.fetchval("SELECT state FROM approval WHERE id = $1::uuid", approval) == "APPROVED":
            raise SessionsUnavailable("Sessions cannot be read now.", retry_after=1)
        return await end_all(sessions, user, but=but)

    monkeypatch.setattr(Sessions, "end_all", dies)
    assert (await decide(client, second, approval)).status == 503
    heard = "SELECT count(*) FROM outbox WHERE routing_key = 'identity.session.revoked.v1'"
    assert await owner.fetchval(heard) == 1
    gone = await client.post("/internal/token", json={"session": left.session, "audience": "payments"})
    assert gone.status == 401


async def test_who_may_not_decide_ends_nobodys_session(client: Client, member: Appointed) -> None:
    first, left = await member(1, "admin"), await member(3, "cashier")
    approval = await asked(client, first, f"/v1/staff/{left.id}/dismissal", {"reason": "se fue"})
    assert await told(await decide(client, first, approval)) == (403, "four-eyes-needed")
    kept = await client.post("/internal/token", json={"session": left.session, "audience": "payments"})
    assert kept.status == 200


async def test_a_lost_authenticator_is_replaced_by_two_others(
    client: Client, member: Appointed, create: Create, letters: Letters
) -> None:
    first, second = await member(1, "admin"), await member(2, "admin")
    _, said = await create(papers(3))
    lost = authenticator(said)
    who = await member(3, "official")
    approval = await asked(
        client, first, f"/v1/staff/{who.id}/second-factor", {"reason": "perdió su teléfono"}
    )
    assert (await decide(client, second, approval)).status == 200
    proof = {"email": papers(3).email, "password": papers(3).password, "code": code(lost, steps=1)}
    assert await told(await client.post("/v1/login", json=proof)) == (401, "bad-code")
    digits = await letters.code("activation-code", to=papers(3).email)
    activation = {"email": papers(3).email, "code": digits, "password": NEW_PASSWORD}
    uri = (await (await client.post("/v1/staff/activate", json=activation)).json())["otpauth"]
    theirs = pyotp.parse_uri(uri)
    assert isinstance(theirs, pyotp.TOTP)
    proof |= {"password": NEW_PASSWORD, "code": code(theirs)}
    assert (await client.post("/v1/login", json=proof)).status == 200


async def test_nobody_decides_about_themselves_or_beyond_their_role(
    client: Client, member: Appointed
) -> None:
    first, second, cashier = await member(1, "admin"), await member(2, "admin"), await member(3, "cashier")
    own = await client.post(
        f"/v1/staff/{first.id}/role", json={"role": "auditor", **REASON}, headers=first.keyed()
    )
    assert await told(own) == (403, "four-eyes-needed")
    approval = await asked(client, first, f"/v1/staff/{second.id}/role", {"role": "auditor", **REASON})
    assert await told(await decide(client, second, approval)) == (403, "four-eyes-needed")
    assert await told(await decide(client, cashier, approval)) == (403, "not-your-act")
    again = await client.post(
        f"/v1/staff/{second.id}/role", json={"role": "auditor", **REASON}, headers=first.keyed()
    )
    assert await told(again) == (409, "approval-open")
    for path in (f"/v1/staff/{uuid4()}/role", "/v1/staff/x/role"):
        nobody = await client.post(path, json={"role": "auditor", **REASON}, headers=first.keyed())
        assert await told(nobody) == (404, "no-such-staff")


async def test_two_who_approve_at_once_do_it_once(client: Client, member: Appointed, owner: Owner) -> None:
    first, second, third = [await member(number, "admin") for number in (1, 2, 3)]
    moved = await member(4, "official")
    approval = await asked(client, first, f"/v1/staff/{moved.id}/role", {"role": "auditor", **REASON})
    answers = await asyncio.gather(*(decide(client, who, approval) for who in (second, third, second, third)))
    assert sorted(answer.status for answer in answers) == [200, 409, 409, 409]
    assert await owner.fetchval("SELECT version FROM users WHERE id = $1::uuid", moved.id) == 2


async def verified_bettor(client: Client, letters: Letters, number: int = 0) -> dict[str, str]:
    await register(client, papers(number).body)
    me = await as_user(client, await login(client, papers(number)))
    await client.post("/v1/me/email/code", headers=me)
    digits = await letters.code("email-code", to=papers(number).email)
    await client.post("/v1/me/email/verify", json={"code": digits}, headers=me)
    return me


async def hand_in(client: Client, me: dict[str, str], *kinds: str) -> None:
    for kind in kinds or ("id-front", "id-back", "selfie"):
        answer = await client.put(
            f"/v1/kyc/evidence/{kind}", data=PNG, headers={**me, "Content-Type": "image/png"}
        )
        assert answer.status == 200, await answer.text()


async def test_a_case_is_shown_by_evidence_and_decided_by_two(
    client: Client, member: Appointed, letters: Letters, owner: Owner
) -> None:
    one, other = await member(1, "cashier"), await member(2, "cashier")
    me = await verified_bettor(client, letters)
    assert await told(await client.get("/v1/kyc", headers=me)) == (404, "no-such-kyc-case")
    await hand_in(client, me, "id-front")
    assert await told(await client.post("/v1/kyc/submit", headers=me)) == (400, "evidence-missing")
    await hand_in(client, me)
    assert (await client.post("/v1/kyc/submit", headers=me)).status == 200
    late = await client.put("/v1/kyc/evidence/selfie", data=PNG, headers={**me, "Content-Type": "image/png"})
    assert await told(late) == (409, "kyc-case-not-open")
    (waiting,) = (await (await client.get("/v1/kyc/cases", headers=one.headers)).json())["items"]
    file = await client.get(f"/v1/kyc/cases/{waiting['id']}/evidence/selfie", headers=one.headers)
    assert (file.content_type, await file.read()) == ("image/png", PNG)
    proposal = {"approve": True, "reason": "coincide"}
    approval = await asked(client, one, f"/v1/kyc/cases/{waiting['id']}/decision", proposal)
    assert await told(await decide(client, one, approval)) == (403, "four-eyes-needed")
    assert (await decide(client, other, approval)).status == 200
    assert (await (await client.get("/v1/kyc", headers=me)).json())["state"] == "APPROVED"
    await client.patch("/v1/me", json={"full_name": "Otra Persona"}, headers=me)
    assert (await (await client.get("/v1/kyc", headers=me)).json())["state"] == "SUPERSEDED"
    states = await owner.fetch(
        "SELECT body FROM outbox WHERE routing_key = 'identity.kyc.changed.v1' ORDER BY id"
    )
    assert [json.loads(row[0])["data"]["state"] for row in states] == ["SUBMITTED", "APPROVED", "SUPERSEDED"]


async def test_what_is_no_evidence_is_refused(client: Client) -> None:
    await register(client, papers().body)
    me = await as_user(client, await login(client, papers()))
    cases: list[tuple[str, bytes, str, tuple[int, str]]] = [
        ("selfie", PNG, "image/gif", (400, "invalid-evidence")),
        ("selfie", b"<script>", "image/png", (400, "invalid-evidence")),
        ("selfie", b"", "image/png", (400, "invalid-evidence")),
        ("selfie", PNG + b"x" * 2_200_000, "image/png", (413, "payload-too-large")),
        ("portrait", PNG, "image/png", (404, "no-such-kyc-case")),
    ]
    for kind, content, media_type, outcome in cases:
        answer = await client.put(
            f"/v1/kyc/evidence/{kind}", data=content, headers={**me, "Content-Type": media_type}
        )
        assert await told(answer) == outcome, (kind, media_type)
    await hand_in(client, me)
    assert await told(await client.post("/v1/kyc/submit", headers=me)) == (409, "email-not-verified")


# The second net: what the database refuses, whatever the code above it believes.

STAFF_OUT_OF_NOWHERE = """
    INSERT INTO users (id, email, full_name, birth_date, role, password_hash, registered_at)
    VALUES (gen_random_uuid(), 'x@example.mx', 'X Y', '1980-01-01', 'admin', '$argon2id$x', now())
"""
ASK = """
    INSERT INTO approval (id, act, subject, details, reason, requested_by, requested_at)
    VALUES ('00000000-0000-0000-0000-00000000000a', '{act}', '{subject}', '{{"role": "admin"}}', 'r', '{by}', now())
"""
SUBMIT = "UPDATE kyc_case SET state = 'SUBMITTED', version = 2, submitted_at = now()"
DECIDE = "UPDATE approval SET state = 'APPROVED', decided_by = '{by}', decided_at = now()"


async def test_the_database_takes_four_eyes_too(
    client: Client, member: Appointed, database: Database, owner: Owner
) -> None:
    first, second, auditor = await member(1, "admin"), await member(2, "admin"), await member(3, "auditor")
    await register(client, papers(5).body)
    bettor = str(await owner.fetchval("SELECT id FROM users WHERE role = 'bettor'"))
    role = "UPDATE users SET role = 'admin', version = version + 1 WHERE id = '{}'"
    given = role.replace(
        "version = version", "approval = '00000000-0000-0000-0000-00000000000a', version = version"
    )
    promoted = ASK.format(act="staff.role", subject=auditor.id, by=first.id)
    attacks = {
        "an administrator out of nowhere": (STAFF_OUT_OF_NOWHERE, "users_staff_takes_four_eyes"),
        "a role out of nowhere": (role.format(auditor.id), "users_staff_takes_four_eyes"),
        "a bettor made administrator": (role.format(bettor), "users_staff_are_not_bettors"),
        "a request by one who may not": (
            ASK.format(act="staff.role", subject=first.id, by=auditor.id),
            "approval_is_by_whom_may",
        ),
        "a request about oneself": (
            ASK.format(act="staff.role", subject=first.id, by=first.id),
            "approval_is_nobodys_own",
        ),
        "two eyes": (f"{promoted}; {DECIDE.format(by=first.id)}", "approval_takes_four_eyes"),
        "the subject decides": (
            f"{ASK.format(act='staff.role', subject=second.id, by=first.id)}; {DECIDE.format(by=second.id)}",
            "approval_is_nobodys_own",
        ),
        "an auditor decides": (f"{promoted}; {DECIDE.format(by=auditor.id)}", "approval_is_by_whom_may"),
        "decided twice": (
            f"{promoted}; {DECIDE.format(by=second.id)}; {DECIDE.format(by=second.id)}",
            "approval_is_decided_once",
        ),
        "an open request used": (f"{promoted}; {given.format(auditor.id)}", "users_staff_takes_four_eyes"),
        "a request for somebody else": (
            f"{promoted}; {DECIDE.format(by=second.id)}; {given.format(second.id).replace('admin', 'cashier')}",
            "users_staff_takes_four_eyes",
        ),
    }
    app = await asyncpg.connect(database.dsn("identity_app"))
    for what, (statements, constraint) in attacks.items():
        transaction = app.transaction()
        await transaction.start()
        with pytest.raises(asyncpg.PostgresError) as refusal:
            await app.execute(statements)
        assert refusal.value.constraint_name == constraint, what
        await transaction.rollback()
    await app.close()


async def test_the_database_knows_what_evidence_and_cases_are(
    client: Client, database: Database, owner: Owner
) -> None:
    await register(client, papers().body)
    me = await as_user(client, await login(client, papers()))
    await hand_in(client, me)
    attacks = {
        "approved out of nowhere": (
            "UPDATE kyc_case SET state = 'APPROVED', version = 2",
            "kyc_case_moves_on",
        ),
        "submitted and approved alone": (
            f"{SUBMIT}; UPDATE kyc_case SET state = 'APPROVED', version = 3, decided_at = now()",
            "kyc_case_takes_four_eyes",
        ),
        "content that is not its digest's": (
            "UPDATE kyc_evidence SET content = 'x'",
            "kyc_evidence_is_what_its_digest_says",
        ),
        "evidence changed after submission": (
            f"{SUBMIT}; UPDATE kyc_evidence SET added_at = now()",
            "kyc_evidence_is_of_a_draft",
        ),
    }
    app = await asyncpg.connect(database.dsn("identity_app"))
    for what, (statements, constraint) in attacks.items():
        transaction = app.transaction()
        await transaction.start()
        with pytest.raises(asyncpg.CheckViolationError) as refusal:
            await app.execute(statements)
        assert refusal.value.constraint_name == constraint, what
        await transaction.rollback()
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await app.execute("DELETE FROM kyc_evidence")
    await app.close()
    assert await owner.fetchval("SELECT count(*) FROM kyc_evidence") == 3
