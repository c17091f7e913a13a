"""Reading the CEP's XML, which comes from outside: what is not the document we know is no answer."""

from datetime import date

import pytest
from payments.rail import MAX_DOCUMENT_CHARACTERS, RailSilent, read_document

CEP = (
    '<?xml version="1.0" encoding="UTF-8"?>\r\n<SPEI_Tercero FechaOperacion="2026-11-20" Hora="10:53:36" '
    'ClaveSPEI="90646" sello="x" numeroCertificado="1" cadenaCDA="||1|a &amp; b|" claveRastreo="BiB2024">\r\n'
    '    <Beneficiario BancoReceptor="STP" Nombre="Ana" TipoCuenta="40" Cuenta="646180157000000004" RFC="ND" '
    'Concepto="C" IVA="0.00" MontoPago="3414.95"/>\r\n'
    '    <Ordenante BancoEmisor="Banamex" Nombre="Ana L&#243;pez" TipoCuenta="40" Cuenta="002010077777777771" '
    'RFC="ND"/>\r\n</SPEI_Tercero>'
)


def test_the_document_is_read_as_it_is() -> None:
    read = read_document(CEP)
    assert (read.clave, read.operation_date) == ("BiB2024", date(2026, 11, 20))
    assert (read.beneficiary_clabe, read.ordering_account) == ("646180157000000004", "002010077777777771")
    assert (read.ordering_name, str(read.amount)) == ("Ana López", "3414.95")
    assert read.cadena == "||1|a & b|"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no XML",
        CEP.removesuffix("</SPEI_Tercero>"),
        CEP.replace("claveRastreo", "other"),
        CEP.replace("<Ordenante", "<Other"),
        CEP.replace("<Ordenante", '<Ordenante Cuenta="1"/><Ordenante'),
        CEP.replace("3414.95", "NaN"),
        CEP.replace("3414.95", "3414.955"),
        CEP.replace("2026-11-20", "20/11/2026"),
        CEP.replace("<SPEI", '<!DOCTYPE x [<!ENTITY a "b">]><SPEI'),
        CEP.replace("<SPEI", '<!DOCTYPE x SYSTEM "file:///etc/passwd"><SPEI'),
        CEP.replace("BiB2024", "B" * MAX_DOCUMENT_CHARACTERS),
    ],
)
def test_anything_else_is_no_answer(text: str) -> None:
    with pytest.raises(RailSilent):
        read_document(text)
