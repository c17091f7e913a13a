"""Signing keys rotate while identity runs and tokens go on being verified."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jwt
import pytest
from common.auth import TokenVerifier
from common.badges import Badge, make_badge
from common.roles import Role
from common.signing import SigningKey
from identity.__main__ import main
from identity.api.parts import KEYRING
from identity.settings import Settings
from identity.tokens import SHOWN_BEFORE_USE, Keyring, create_keys, rotate_keys

from services.identity.tests.conftest import Appointed
from services.identity.tests.people import Client, login, papers, register, token

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def test_a_new_key_is_shown_at_once_and_signs_when_everybody_has_it(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    create_keys(path, now=NOW)
    keyring = Keyring(path, look_every_seconds=0)
    first = keyring.signing_key(NOW).key_id
    second = rotate_keys(path, now=NOW + timedelta(hours=1))
    assert [key.key_id for key in keyring.shown()] == [first, second]
    assert set(keyring) == {first, second}
    assert keyring.signing_key(NOW + timedelta(hours=1)).key_id == first
    assert keyring.signing_key(NOW + timedelta(hours=1) + SHOWN_BEFORE_USE).key_id == second


def test_a_key_goes_when_no_token_of_it_can_live(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    create_keys(path, now=NOW)
    made = [rotate_keys(path, now=NOW + timedelta(minutes=minutes)) for minutes in (60, 65, 80)]
    left = {key.key_id for key in Keyring(path).shown()}
    # The first key's successor has been signing since minute 70; the third's successor is not shown yet.
    assert left == {made[1], made[2]}


def test_a_broken_file_leaves_the_keys_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    create_keys(path, now=NOW)
    keyring = Keyring(path, look_every_seconds=0)
    known = keyring.signing_key(NOW).key_id
    path.write_text('{"keys": []}')
    assert keyring.signing_key(NOW + timedelta(hours=1)).key_id == known
    with pytest.raises(ValueError, match="holds no key"):
        Keyring(path)


async def test_tokens_of_the_old_key_and_of_the_new_one_are_verified(
    client: Client, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    await register(client, papers().body)
    session = await login(client, papers())
    before = await token(client, session, "betting")
    verifier = TokenVerifier(str(client.make_url("/")), audience="betting")
    assert (await verifier.verify(before)).role is Role.BETTOR
    assert main(["keys", "rotate", "--file", str(settings.signing_keys_file)]) == 0
    # What the server logs may stand beside it.
    (new,) = (line for line in capsys.readouterr().out.splitlines() if not line.startswith("{"))
    async with asyncio.timeout(10):
        while new not in client.app[KEYRING]:
            await asyncio.sleep(0.1)
    shown = (await (await client.get("/.well-known/jwks.json")).json())["keys"]
    assert new in {key["kid"] for key in shown}
    assert all("d" not in key for key in shown)
    assert jwt.get_unverified_header(await token(client, session, "betting"))["kid"] != new
    assert (await verifier.verify(before)).role is Role.BETTOR


async def test_staff_has_a_badge_for_betting_and_nobody_else_or_elsewhere(
    client: Client, settings: Settings, member: Appointed
) -> None:
    """What is under it is verified by betting's database; here, that it is of this key, person, role and second."""
    official = await member(1, "official")
    await register(client, papers(2).body)
    bettor = await login(client, papers(2))
    url, now = str(client.make_url("/")), datetime.now(UTC).timestamp()
    betting = TokenVerifier(url, audience="betting")

    async def badge() -> Badge | None:
        return (await betting.verify(await token(client, official.session, "betting"))).badge

    key = SigningKey.parse(settings.badge_key_file.read_text())
    shown = await badge()
    assert shown is not None
    assert shown == make_badge(key.secret, key.id, official.id, Role.OFFICIAL, shown.issued_at)
    assert abs(shown.issued_at - now) < 30
    assert (await betting.verify(await token(client, bettor, "betting"))).badge is None
    payments = TokenVerifier(url, audience="payments")
    assert (await payments.verify(await token(client, official.session, "payments"))).badge is None

    new = settings.badge_key_file.with_name("new")
    assert main(["keys", "create-badge", "--out", str(new)]) == 0
    assert main(["keys", "create-badge", "--out", str(new)]) == 1  # none is replaced by accident
    new.replace(settings.badge_key_file)
    async with asyncio.timeout(10):
        while (shown := await badge()) is None or shown.key_id == key.id:
            await asyncio.sleep(0.1)
