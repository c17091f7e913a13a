"""Whether two spellings name the same person.

Banks write names in capitals without accents, in either order, and cut them off; people leave out a second
given name or a mother's surname. What must not pass is another person.
"""

import re
import unicodedata
from typing import Final

FEWEST_WORDS: Final = 2
CUT_OFF_FROM: Final = 3
"""A last word of at least so many letters may be the beginning of a longer one."""


def same_person(one: str, other: str) -> bool:
    """Whether every word of the shorter name is in the longer one, and at least two are."""
    shorter, longer = sorted((_words(one), _words(other)), key=len)
    if len(shorter) < FEWEST_WORDS:
        return False
    left = list(longer)
    for word in shorter:
        cut_off = {shorter[-1], longer[-1]}
        found = next((each for each in left if each == word), None) or next(
            (each for each in left if _begins(each, word, cut_off)), None
        )
        if found is None:
            return False
        left.remove(found)
    return True


def _begins(one: str, other: str, cut_off: set[str]) -> bool:
    """Whether one of them, the last word of a name, is the beginning of the other."""
    short, long = sorted((one, other), key=len)
    return short in cut_off and len(short) >= CUT_OFF_FROM and long.startswith(short)


def _words(name: str) -> list[str]:
    plain = unicodedata.normalize("NFKD", name.upper()).encode("ascii", "ignore").decode()
    return [word for word in re.split(r"[^A-Z]+", plain) if word and word not in _PARTICLES]


_PARTICLES: Final = frozenset({"DE", "DEL", "LA", "LAS", "LOS", "Y"})
