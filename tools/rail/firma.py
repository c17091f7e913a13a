"""The cadena original of an order, as the participant reads it: written anew, not taken from the client."""

from collections.abc import Mapping

FIELDS = 33
COMPANY = "ELCARRIL"
PARTICIPANT = "90646"


def cadena_original(order: Mapping[str, str]) -> str:
    """What the client must have signed."""
    fields = [""] * FIELDS
    fields[0] = order["beneficiary_clabe"][:3]
    fields[1] = COMPANY
    fields[4] = order["clave"]
    fields[5] = PARTICIPANT
    fields[6] = order["amount"]
    fields[7] = "1"
    fields[8] = fields[12] = "40"
    fields[10] = order["ordering_clabe"]
    fields[13] = order["beneficiary_name"]
    fields[14] = order["beneficiary_clabe"]
    fields[21] = order["concept"]
    return "||" + "|".join(field.replace("|", " ") for field in fields) + "||"
