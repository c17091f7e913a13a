"""The CEP, the central bank's electronic receipt of a transfer, in the XML of the real one.

What is known of the real document: root `SPEI_Tercero`, children `Beneficiario` and `Ordenante`, and the
cadena original, 47 fields between bars with the amount at index 19. The clave de rastreo is an attribute
of the root and in no field of the cadena, so the seal does not bind it.
"""

import hashlib
from base64 import b64encode
from datetime import datetime, timedelta, timezone
from xml.etree import ElementTree

from tools.rail.book import PARTICIPANT, Movement, institution_name

MEXICO_CITY = timezone(timedelta(hours=-6))
"""Mexico gave up summer time in 2022."""

CERTIFICATE = "00000100000100014853"
CLABE_ACCOUNT = "40"
NOT_APPLICABLE = "NA"
RFC_OF_NOBODY = "ND"


def cep_document(movement: Movement) -> str:
    """The XML document of a liquidated transfer."""
    at = movement.accepted_at.astimezone(MEXICO_CITY)
    fields = _cadena_fields(movement, at)
    seal = _seal("|".join(fields), movement.accepted_at)
    root = ElementTree.Element(
        "SPEI_Tercero",
        FechaOperacion=movement.operation_date.isoformat(),
        Hora=f"{at:%H:%M:%S}",
        ClaveSPEI=PARTICIPANT,
        sello=seal,
        numeroCertificado=CERTIFICATE,
        cadenaCDA="|".join([*fields, seal]),
        claveRastreo=movement.clave,
    )
    ElementTree.SubElement(
        root,
        "Beneficiario",
        BancoReceptor=institution_name(PARTICIPANT),
        Nombre=movement.beneficiary_name,
        TipoCuenta=CLABE_ACCOUNT,
        Cuenta=movement.beneficiary_clabe,
        RFC=RFC_OF_NOBODY,
        Concepto=movement.concept,
        IVA="0.00",
        MontoPago=str(movement.amount),
    )
    ElementTree.SubElement(
        root,
        "Ordenante",
        BancoEmisor=institution_name(movement.institution),
        Nombre=movement.ordering_name,
        TipoCuenta=CLABE_ACCOUNT,
        Cuenta=movement.ordering_clabe,
        RFC=movement.ordering_document,
    )
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=False)


def _cadena_fields(movement: Movement, at: datetime) -> list[str]:
    """All fields but the last, the seal."""
    operation_date = f"{movement.operation_date:%d%m%Y}"
    ordering = [
        institution_name(movement.institution),
        _field(movement.ordering_name),
        CLABE_ACCOUNT,
        movement.ordering_clabe,
        movement.ordering_document,
    ]
    beneficiary = [
        institution_name(PARTICIPANT),
        _field(movement.beneficiary_name),
        CLABE_ACCOUNT,
        movement.beneficiary_clabe,
        RFC_OF_NOBODY,
    ]
    fields = ["", "", "1", operation_date, f"{at:%d%m%Y}", f"{at:%H%M%S}", PARTICIPANT]
    fields += [*ordering, *beneficiary]
    fields += [_field(movement.concept), "0.00", str(movement.amount)]
    fields += [NOT_APPLICABLE, NOT_APPLICABLE, "0", "0", NOT_APPLICABLE, "0", "0.00"]
    fields += [NOT_APPLICABLE] * 17 + [CERTIFICATE, ""]
    return fields


def _field(text: str) -> str:
    """Text as a field of the cadena: the separator cannot be part of it."""
    return text.replace("|", " ")


def _seal(text: str, sealed_at: datetime) -> str:
    """A stand-in for the institution's RSA seal: 256 bytes that depend on every byte of the text and on the
    moment, so that two equal transfers of one second are two documents."""
    return b64encode(hashlib.shake_256(f"{text}{sealed_at.isoformat()}".encode()).digest(256)).decode()
