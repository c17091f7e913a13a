"""How an order is signed for the participant: RSA-SHA256 over its cadena original, as STP asks for it.

The cadena holds the order's fields in a fixed order between bars, two at each end; a field that the order
does not have is empty. The participant has our public key and refuses an order whose firma does not verify.
"""

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from payments.domain.orders import OWN_INSTITUTION, Order

COMPANY: Final = "ELCARRIL"
THIRD_TO_THIRD: Final = "1"
CLABE_ACCOUNT: Final = "40"
SMALLEST_KEY_BITS: Final = 2048


@dataclass(frozen=True, slots=True)
class OrderSigner:
    """Signs orders with the key that the participant knows us by."""

    key: RSAPrivateKey

    def sign(self, order: Order, own_clabe: str) -> str:
        """The firma of an order, in base64."""
        text = cadena_original(order, own_clabe).encode()
        return base64.b64encode(self.key.sign(text, padding.PKCS1v15(), hashes.SHA256())).decode()


def load_order_signer(file: Path) -> OrderSigner:
    """Raises `ValueError` or `OSError` for a file without an RSA key in PEM of at least 2048 bits."""
    key = load_pem_private_key(file.read_bytes(), password=None)
    if not isinstance(key, RSAPrivateKey) or key.key_size < SMALLEST_KEY_BITS:
        raise ValueError(f"{file} does not hold an RSA key of {SMALLEST_KEY_BITS} bits")
    return OrderSigner(key)


def cadena_original(order: Order, own_clabe: str) -> str:
    """The text that is signed: 33 fields, of which an order of ours has these."""
    fields = {
        0: order.clabe[:3],
        1: COMPANY,
        4: order.clave,
        5: OWN_INSTITUTION,
        6: str(order.amount),
        7: THIRD_TO_THIRD,
        8: CLABE_ACCOUNT,
        10: own_clabe,
        12: CLABE_ACCOUNT,
        13: order.beneficiary_name,
        14: order.clabe,
        21: order.concept,
    }
    return "||" + "|".join(fields.get(at, "").replace("|", " ") for at in range(33)) + "||"
