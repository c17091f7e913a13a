"""Time-based one-time codes (RFC 6238), by pyotp. Which step a code belongs to decides that it is used once."""

from base64 import b32encode
from datetime import datetime
from typing import Final

import pyotp
from common.errors import Forbidden, Unauthenticated
from pyotp.utils import strings_equal

ISSUER: Final = "El Carril"
STEP_SECONDS: Final = 30
DRIFT_STEPS: Final = 1
"""How far a telephone's clock may be off, either way."""


class CodeRequired(Unauthenticated):
    """The password is right; staff need the code of their authenticator as well."""

    slug = "code-required"
    title = "A one-time code is needed"


class BadCode(Unauthenticated):
    slug = "bad-code"
    title = "The one-time code is wrong"


class CodeUsed(Unauthenticated):
    """Each code is good for one use. The next one comes within half a minute."""

    slug = "code-used"
    title = "The one-time code has been used"


class SecondFactorMissing(Forbidden):
    slug = "second-factor-missing"
    title = "No second factor is enrolled"


def matching_step(secret: bytes, code: str, now: datetime) -> int | None:
    """The step, near to now, whose code this is. Every candidate is compared, in constant time each."""
    codes = pyotp.TOTP(b32encode(secret).decode(), interval=STEP_SECONDS)
    current = int(now.timestamp()) // STEP_SECONDS
    candidates = range(current - DRIFT_STEPS, current + DRIFT_STEPS + 1)
    matching = [step for step in candidates if strings_equal(code, codes.generate_otp(step))]
    return matching[0] if matching else None


def provisioning_uri(secret: bytes, email: str) -> str:
    """What an authenticator app reads, usually from a QR code."""
    return pyotp.TOTP(b32encode(secret).decode(), interval=STEP_SECONDS).provisioning_uri(
        name=email, issuer_name=ISSUER
    )
