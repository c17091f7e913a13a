"""Whom the platform knows a player as, and whether a sender is the same person.

The name decides; where the CEP carries the sender's RFC or CURP, that must not contradict it. Many institutions
send none ("ND"), so a document that is missing says nothing.
"""

import re
from dataclasses import dataclass
from typing import Final

from payments.domain.names import same_person

_RFC: Final = re.compile(r"[A-Z&Ñ]{4}\d{6}[A-Z0-9]{3}")
_RFC_OF_COMPANY: Final = re.compile(r"[A-Z&Ñ]{3}\d{6}[A-Z0-9]{3}")
_CURP: Final = re.compile(r"[A-Z]{4}\d{6}[HMX][A-Z]{5}[A-Z0-9]\d")
_GENERIC: Final = frozenset({"XAXX010101000", "XEXX010101000"})
"""The tax office's RFCs for nobody in particular."""
_LETTERS: Final = slice(0, 4)
_BORN: Final = slice(4, 10)


@dataclass(frozen=True, slots=True)
class Holder:
    """A player as identity has verified them."""

    full_name: str
    curp: str | None = None
    rfc: str | None = None


def contradicts(holder: Holder, document: str) -> bool:
    """Whether what the CEP says of the sender's RFC or CURP is another's."""
    told = document.strip().upper()
    if told in _GENERIC:
        return False
    if _CURP.fullmatch(told):
        return holder.curp is not None and told != holder.curp
    if _RFC.fullmatch(told):
        return not _same_root(told, holder.rfc or holder.curp or told) or holder.rfc not in (None, told)
    return _RFC_OF_COMPANY.fullmatch(told) is not None


def is_same(holder: Holder, name: str) -> bool:
    """Whether a sender of that name may be the holder."""
    return same_person(holder.full_name, name)


def _same_root(one: str, other: str) -> bool:
    """RFC and CURP begin alike: four letters of the name and the date of birth. Where those letters make a word that
    nobody should have to bear, each replaces another one of them."""
    different = sum(a != b for a, b in zip(one[_LETTERS], other[_LETTERS], strict=True))
    return one[_BORN] == other[_BORN] and different <= 2
