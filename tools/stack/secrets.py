"""A stack's secrets: made once, at random, kept in files that only their owner can read."""

from __future__ import annotations

import base64
import json
import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from identity.derived import create_master_key
from identity.tokens import create_badge_key, create_keys
from payments.signing import create_signing_key

from tools.stack.layout import Layout

ATTESTOR_KEY_ID: Final = "attestor-1"
SIGNING_ROOT: Final = "root-1"
SEAL_KEY_ID: Final = "seal-1"
BADGE_KEY: Final = "identity-badge-key"
"""The file's name."""


def secret(layout: Layout, name: str) -> str:
    """The secret of that name, made when first asked for."""
    path = layout.secrets / name
    if not path.exists():
        write(path, secrets.token_hex(20))
    return path.read_text(encoding="utf-8")


def write(path: Path, text: str) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    half = path.with_name(f".{path.name}.half")
    half.unlink(missing_ok=True)
    half.touch(mode=0o600)
    half.write_text(text, encoding="utf-8")
    half.replace(path)


def _make_psp_secrets(layout: Layout) -> None:
    """The keys of the card provider's API (payments' own, and the attestor's, which reads alone), and what it signs
    its webhooks with (Standard Webhooks), one a line."""
    secret(layout, "psp-api-key")
    secret(layout, "psp-read-key")
    webhooks = layout.secrets / "psp-webhook-secrets"
    if not webhooks.exists():
        write(webhooks, f"whsec_{base64.b64encode(secrets.token_bytes(24)).decode()}\n")


def _make_order_key(layout: Layout) -> None:
    """The RSA key that orders to the rail are signed with, and its public half for the rail."""
    private, public = layout.secrets / "spei.pem", layout.secrets / "spei-public.pem"
    if private.exists():
        return
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = serialization.Encoding.PEM
    write(
        public, key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo).decode()
    )
    write(
        private,
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode(),
    )


def badge_key(layout: Layout) -> Path:
    """The file of the key that identity and betting's database share, made when first asked for."""
    path = layout.secrets / BADGE_KEY
    if not path.exists():
        create_badge_key(path, now=datetime.now(UTC))
    return path


async def make_keys(layout: Layout) -> None:
    """What is signed with: identity's and the attestor's keys, the public half the ledger verifies with, the
    root that the API keys' signing secrets are derived from, and the sealer's key."""
    signing, master = layout.secrets / "identity-keys.json", layout.secrets / "identity-master"
    attestor, trusted = layout.secrets / "attestor.seed", layout.secrets / "attestor-public.json"
    if not signing.exists():
        create_keys(signing, now=datetime.now(UTC))
    if not master.exists():
        create_master_key(master)
    badge_key(layout)
    if not attestor.exists():
        create_signing_key(attestor, trusted, ATTESTOR_KEY_ID)
    elif " " not in attestor.read_text(encoding="utf-8"):  # from when the key's id was told apart
        write(attestor, f"{ATTESTOR_KEY_ID} {attestor.read_text(encoding='utf-8')}")
    for name, id in (("ledger-signing-roots.json", SIGNING_ROOT), ("ledger-seal-keys.json", SEAL_KEY_ID)):
        file = layout.secrets / name
        if not file.exists():
            write(file, json.dumps({id: base64.b64encode(secrets.token_bytes(32)).decode()}))
    _make_order_key(layout)
    _make_psp_secrets(layout)
