"""The documents that tell who somebody is: formats and check digits by python-stdnum, and whose they can be."""

from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Final, Self

from common.errors import Conflict, Invalid
from stdnum.br import cnpj, cpf
from stdnum.exceptions import ValidationError
from stdnum.mx import curp, rfc

RFC_OF_A_PERSON_CHARACTERS: Final = 13


class DocumentKind(StrEnum):
    """CURP and RFC are Mexico's (registry of people, of taxpayers), CPF and CNPJ Brazil's (people, companies)."""

    CURP = "curp"
    RFC = "rfc"
    CPF = "cpf"
    CNPJ = "cnpj"


class InvalidDocument(Invalid):
    slug = "invalid-document"
    title = "Not a valid document"


class NotAPersonsDocument(Invalid):
    slug = "not-a-persons-document"
    title = "A company cannot bet"


class DocumentNotYours(Invalid):
    slug = "document-not-yours"
    title = "The document is another person's"


class DocumentTaken(Conflict):
    """The document belongs to an account, or this account has one of its kind."""

    slug = "document-taken"
    title = "The document cannot be added"


_RULES: Final = {
    DocumentKind.CURP: (curp, "a CURP has 18 characters, the last a check digit"),
    DocumentKind.RFC: (rfc, "an RFC has 13 characters, 12 for a company, the last a check digit"),
    DocumentKind.CPF: (cpf, "a CPF has 11 digits, the last two check digits"),
    DocumentKind.CNPJ: (cnpj, "a CNPJ has 14 characters, the last two check digits"),
}


@dataclass(frozen=True, slots=True)
class HolderDocument:
    """A document whose format and check digits hold, in its one canonical spelling."""

    kind: DocumentKind
    value: str

    @classmethod
    def parse(cls, kind: DocumentKind, text: str, *, field: str = "document") -> Self:
        """Accept any case and the separators people type. Raises InvalidDocument."""
        rules, form = _RULES[kind]
        # By default an RFC's check digit is not looked at.
        options = {"validate_check_digits": True} if kind is DocumentKind.RFC else {}
        try:
            document = cls(kind, rules.validate(text, **options))
        except ValidationError as error:
            raise InvalidDocument(f"{str(error).rstrip('.')} ({form}).", field=field) from None
        # Check digits hold for one digit eleven times over, but nobody is given such a CPF.
        if kind is DocumentKind.CPF and len(set(document.value)) == 1:
            raise InvalidDocument(f"One digit repeated is nobody's number ({form}).", field=field)
        return document

    @property
    def is_a_persons(self) -> bool:
        if self.kind is DocumentKind.RFC:
            return len(self.value) == RFC_OF_A_PERSON_CHARACTERS
        return self.kind is not DocumentKind.CNPJ

    @property
    def birth_date(self) -> date | None:
        """What the document itself says; only a CURP tells the century too."""
        return curp.get_birth_date(self.value) if self.kind is DocumentKind.CURP else None

    def may_be_of(self, born: date) -> bool:
        """Whether the document fits somebody born that day. A company's and a CPF tell nothing about it."""
        if self.kind is DocumentKind.CURP:
            return self.birth_date == born
        if self.kind is DocumentKind.RFC and self.is_a_persons:
            return self.value[4:10] == f"{born:%y%m%d}"
        return True

    def __str__(self) -> str:
        return f"{self.kind}:{self.value}"


def check_further_document(document: HolderDocument, *, born: date) -> None:
    """Whether a person born that day may add the document. Raises DocumentNotYours."""
    if not document.may_be_of(born):
        raise DocumentNotYours("It carries another birth date.", field="value")
