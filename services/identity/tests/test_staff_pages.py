"""The staff and its requests, a page at a time; and what the others are told of somebody of the staff."""

from uuid import uuid4

import jwt
import pytest
from common.http.cursors import write_cursor

from services.identity.tests.conftest import Appointed
from services.identity.tests.people import Client, Owner, login, papers, register
from services.identity.tests.staff import REASON, asked, decide, told
from services.identity.tests.test_pages import walk

SEVERAL = 7


@pytest.mark.parametrize("at_once", [False, True])
async def test_requests_come_newest_first_each_once(
    member: Appointed, client: Client, owner: Owner, at_once: bool
) -> None:
    """Also those that were asked for at the same moment."""
    admin, other = await member(1, "admin"), await member(2, "official")
    await owner.execute("SET session_replication_role = replica")
    for number in range(SEVERAL):
        request = await asked(client, admin, f"/v1/staff/{other.id}/role", {"role": "auditor", **REASON})
        await owner.execute(
            "UPDATE approval SET subject = $2 WHERE id = $1::uuid", request, f"somebody {number}"
        )
    if at_once:
        await owner.execute("UPDATE approval SET requested_at = '2026-11-22T10:00Z'")
    pages = await walk(client, admin.headers, "/v1/approvals", 3)
    assert [len(page) for page in pages] == [3, 3, 1]
    subjects = [str(each["subject"]) for page in pages for each in page]
    expected = [f"somebody {number}" for number in range(SEVERAL)]
    assert sorted(subjects) == expected
    assert at_once or subjects == expected[::-1]


async def test_the_staff_comes_by_name_each_once(member: Appointed, client: Client) -> None:
    """Also those of the same name; bettors are none of them."""
    admin = await member(1, "admin")
    for number in range(2, SEVERAL + 1):
        await member(number, "official")
    await register(client, papers(20).body)
    pages = await walk(client, admin.headers, "/v1/staff", 3)
    assert [len(page) for page in pages] == [3, 3, 1]
    assert len({str(each["id"]) for page in pages for each in page}) == SEVERAL
    names = [str(each["full_name"]) for page in pages for each in page]
    assert names == sorted(names)


@pytest.mark.parametrize("path", ["/v1/approvals", "/v1/staff"])
@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("limit=many", "limit"),
        ("after=", "after"),
        ("after=nonsense", "after"),
        ("after=" + "A" * 700, "after"),
        ("after=" + write_cursor("devices", "2026-11-22T10:00:00+00:00", str(uuid4())), "after"),
        ("after=" + write_cursor("approvals/APPROVED", "2026-11-22T10:00:00+00:00", str(uuid4())), "after"),
        ("after=" + write_cursor("approvals/OPEN", "yesterday", str(uuid4())), "after"),
        ("after=" + write_cursor("approvals/OPEN", "2026-11-22T10:00:00+00:00", "no id"), "after"),
        ("after=" + write_cursor("staff", "no id"), "after"),
        ("after=" + write_cursor("staff", 7), "after"),
        ("before=x", "before"),
    ],
)
async def test_what_is_no_page_is_a_problem_that_names_its_field(
    member: Appointed, client: Client, path: str, query: str, field: str
) -> None:
    admin = await member(1, "admin")
    answer = await client.get(f"{path}?{query}", headers=admin.headers)
    assert (answer.status, (await answer.json()).get("field")) == (400, field)


async def test_what_somebody_stands_on_is_told_and_is_in_their_token(
    member: Appointed, client: Client
) -> None:
    """It changes with the password; of who is dismissed, or never worked here, nothing is told."""
    first, second, cashier = await member(1, "admin"), await member(2, "admin"), await member(3, "cashier")
    standing = await (await client.get(f"/internal/staff/{cashier.id}")).json()
    assert standing == {"role": "cashier", "proof": 1}
    issued = await client.post("/internal/token", json={"session": cashier.session, "audience": "payments"})
    claims = jwt.decode((await issued.json())["token"], options={"verify_signature": False})
    assert claims["proof"] == 1
    body = {"password": "another long password 7"}
    assert (await client.post("/v1/password", json=body, headers=cashier.headers)).status == 200
    assert (await (await client.get(f"/internal/staff/{cashier.id}")).json())["proof"] == 2
    await decide(client, second, await asked(client, first, f"/v1/staff/{cashier.id}/dismissal", {**REASON}))
    await register(client, papers(20).body)
    bettor = await login(client, papers(20))
    token = await client.post("/internal/token", json={"session": bettor, "audience": "identity"})
    for nobody in (cashier.id, (await token.json())["subject"], str(uuid4()), "nobody"):
        assert await told(await client.get(f"/internal/staff/{nobody}")) == (404, "no-such-staff")
