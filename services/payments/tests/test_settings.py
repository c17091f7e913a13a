"""What a process is told, and the key it signs with."""

import base64
import json
import stat
from pathlib import Path

import pytest
from common.watched import WatchedFile
from contracts.receipts import Purpose, Statement
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from payments.settings import Settings
from payments.signing import Signer, create_signing_key, read_signer
from pydantic import ValidationError

TOLD = {
    "port": 1,
    "database_dsn": "postgresql://x",
    "amqp_url": "amqp://x",
    "identity_url": "http://x",
    "ledger_url": "http://x",
    "ledger_receipts_url": "http://x",
    "ledger_api_key": "lk",
    "ledger_signing_key": "id:c2VjcmV0",
    "rail_url": "http://x",
    "psp_url": "http://x",
    "psp_api_key": "key",
    "psp_webhook_secrets_file": "/x",
    "order_signing_key_file": "/x",
}


def test_the_defaults_fit_together() -> None:
    assert Settings.model_validate(TOLD).send_window_seconds == 20.0


@pytest.mark.parametrize(
    "wrong",
    [
        {"send_window_seconds": 3.0},
        {"clabe_prefix": "9991801570"},
        {"clabe_prefix": "646"},
        {"workers": 0},
        {"psp_window_seconds": 3.0},
        {"ted_windows": "09:30-09:00"},
    ],
)
def test_settings_that_would_lose_money_do_not_start(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Settings.model_validate(TOLD | wrong)


def test_a_made_key_signs_what_its_public_half_verifies(tmp_path: Path) -> None:
    seed, public = tmp_path / "seed", tmp_path / "public.json"
    create_signing_key(seed, public, "first")
    create_signing_key(tmp_path / "seed-2", public, "second")
    assert stat.S_IMODE(seed.stat().st_mode) == 0o600
    trusted = json.loads(public.read_text())
    assert set(trusted) == {"first", "second"}
    statement = Statement.model_validate(
        {
            "receipt_id": "00000000-0000-4000-8000-000000000001",
            "rail": "spei",
            "tracking_key": "20261121:40002:ABC",
            "document_sha256": "0" * 64,
            "purpose": Purpose.DEPOSIT,
            "account": "players/x/available",
            "amount": "1.00",
            "currency": "MXN",
            "occurred_at": "2026-11-21T00:00:00Z",
            "issued_at": "2026-11-21T00:00:00Z",
            "key_id": "first",
        }
    )
    signed = read_signer(seed.read_text()).sign(statement)
    key = Ed25519PublicKey.from_public_bytes(base64.b64decode(trusted["first"]))
    key.verify(signed.raw_signature(), signed.signing_bytes())


def test_a_seed_is_never_overwritten(tmp_path: Path) -> None:
    seed = tmp_path / "seed"
    create_signing_key(seed, tmp_path / "public.json", "first")
    with pytest.raises(FileExistsError):
        create_signing_key(seed, tmp_path / "public.json", "another")


@pytest.mark.parametrize("id", ["first", "two words", ""])
def test_a_key_id_is_used_once(tmp_path: Path, id: str) -> None:
    create_signing_key(tmp_path / "seed", tmp_path / "public.json", "first")
    trusted = (tmp_path / "public.json").read_text()
    with pytest.raises(ValueError, match="no key id, or one in use"):
        create_signing_key(tmp_path / "seed-2", tmp_path / "public.json", id)
    assert (tmp_path / "public.json").read_text() == trusted
    assert not (tmp_path / "seed-2").exists()


def test_a_new_key_counts_as_soon_as_it_lies_where_the_attestor_looks(tmp_path: Path) -> None:
    seed, public = tmp_path / "seed", tmp_path / "public.json"
    create_signing_key(seed, public, "first")
    signers: WatchedFile[Signer] = WatchedFile(seed, read_signer, look_every_seconds=0)
    create_signing_key(tmp_path / "next", public, "second")
    assert signers.current.key_id == "first"
    (tmp_path / "next").replace(seed)
    assert signers.current.key_id == "second"


def test_a_file_that_is_no_seed_is_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        read_signer("first AAAA")
