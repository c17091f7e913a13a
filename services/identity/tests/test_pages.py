"""Devices and history, a page at a time."""

import base64
from uuid import uuid4

import pytest
from common.http.cursors import write_cursor

from services.identity.tests.people import Client, Owner, as_user, login, papers, register

SEVERAL = 7


@pytest.fixture
async def me(client: Client) -> dict[str, str]:
    await register(client, papers().body)
    return await as_user(client, await login(client, papers()))


async def walk(client: Client, me: dict[str, str], path: str, limit: int) -> list[list[dict[str, object]]]:
    """Every page of a list."""
    pages, after = [], ""
    while True:
        answer = await client.get(f"{path}?limit={limit}{after}", headers=me)
        assert answer.status == 200, await answer.text()
        page = await answer.json()
        pages.append(page["items"])
        if page["next"] is None:
            return pages
        after = f"&after={page['next']}"


@pytest.mark.parametrize("at_once", [False, True])
async def test_devices_come_newest_first_each_once(
    client: Client, me: dict[str, str], owner: Owner, at_once: bool
) -> None:
    """Also those that were enrolled at the same moment."""
    for number in range(SEVERAL):
        keyed = {**me, "Idempotency-Key": str(uuid4())}
        assert (await client.post("/v1/devices", json={"name": f"d{number}"}, headers=keyed)).status == 201
    if at_once:
        await owner.execute("UPDATE device SET enrolled_at = '2026-11-22T10:00:00.123456Z'")
    pages = await walk(client, me, "/v1/devices", 3)
    assert [len(page) for page in pages] == [3, 3, 1]
    names = [str(each["name"]) for page in pages for each in page]
    expected = [f"d{number}" for number in range(SEVERAL)]
    assert sorted(names) == expected
    assert at_once or names == expected[::-1]


async def test_a_revoked_device_is_listed_and_makes_room(client: Client, me: dict[str, str]) -> None:
    for _ in range(12):
        keyed = {**me, "Idempotency-Key": str(uuid4())}
        device = await (await client.post("/v1/devices", json={"name": "d"}, headers=keyed)).json()
        assert (await client.delete(f"/v1/devices/{device['id']}", headers=me)).status == 204
    (page,) = await walk(client, me, "/v1/devices", 50)
    assert (len(page), all(each["revoked_at"] for each in page)) == (12, True)


async def test_a_history_comes_oldest_first_each_once(client: Client, me: dict[str, str]) -> None:
    for number in range(SEVERAL):
        assert (
            await client.patch("/v1/me", json={"full_name": f"Wanda B{number}"}, headers=me)
        ).status == 200
    pages = await walk(client, me, "/v1/me/history", 3)
    assert [each["version"] for page in pages for each in page] == list(range(1, SEVERAL + 1))
    assert [len(page) for page in pages] == [3, 3, 1]


async def test_an_export_says_where_the_rest_begins(client: Client, me: dict[str, str], owner: Owner) -> None:
    await owner.execute(
        """
        INSERT INTO user_history (user_id, version, email, full_name, role)
        SELECT id, n, email, full_name, role FROM users, generate_series(1001, 1201) AS n
        """
    )
    await owner.execute(
        """
        INSERT INTO device (id, user_id, name, enrolled_at, revoked_at)
        SELECT gen_random_uuid(), id, 'd', now() + n * INTERVAL '1 s', now() + INTERVAL '1 day'
        FROM users, generate_series(1, 201) AS n
        """
    )
    whole = await (await client.get("/v1/me/export", headers=me)).json()
    assert (len(whole["history"]), len(whole["devices"])) == (200, 200)
    for path, after in (("/v1/me/history", whole["history_next"]), ("/v1/devices", whole["devices_next"])):
        rest = await (await client.get(f"{path}?after={after}", headers=me)).json()
        assert (len(rest["items"]), rest["next"]) == (1, None)


async def test_an_export_of_little_is_whole(client: Client, me: dict[str, str]) -> None:
    whole = await (await client.get("/v1/me/export", headers=me)).json()
    assert (whole["history_next"], whole["devices_next"]) == (None, None)


@pytest.mark.parametrize("path", ["/v1/devices", "/v1/me/history"])
@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("limit=many", "limit"),
        ("after=", "after"),
        ("after=nonsense", "after"),
        ("after=" + "A" * 700, "after"),
        ("after=" + write_cursor("another list", 7), "after"),
        ("after=" + write_cursor("devices", 7), "after"),
        ("after=" + write_cursor("devices", "yesterday", str(uuid4())), "after"),
        ("after=" + write_cursor("devices", "2026-11-22T10:00:00", str(uuid4())), "after"),
        ("after=" + write_cursor("devices", "0001-01-01T00:00:00+23:00", str(uuid4())), "after"),
        ("after=" + write_cursor("devices", "2026-11-22T10:00:00+00:00", "no id"), "after"),
        ("after=" + write_cursor("me/history", "7"), "after"),
        ("after=" + base64.urlsafe_b64encode(b'["me/history",9223372036854775808]').decode(), "after"),
        ("before=x", "before"),
    ],
)
async def test_what_is_no_page_is_a_problem_that_names_its_field(
    client: Client, me: dict[str, str], path: str, query: str, field: str
) -> None:
    answer = await client.get(f"{path}?{query}", headers=me)
    assert (answer.status, answer.content_type) == (400, "application/problem+json")
    assert (await answer.json())["field"] == field
