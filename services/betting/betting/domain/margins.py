"""What a race is won by: an ordinal list, as the *veedor* calls it; each carril may use its own part of it."""

from collections.abc import Sequence
from enum import StrEnum


class Margin(StrEnum):
    """From the least on."""

    MEDIA_CABEZA = "media cabeza"
    CABEZA = "cabeza"
    PESCUEZO = "pescuezo"
    PALETA = "paleta"
    FAJA = "faja"
    IJAR = "ijar"
    PICO_A_RABO = "pico a rabo"
    BLANCO = "blanco"

    @property
    def rank(self) -> int:
        """Place in the order: a larger margin has a larger rank."""
        return _ORDER.index(self)


_ORDER: Sequence[Margin] = tuple(Margin)
