"""What is wrong with something that does not fit its model, in one line."""

from pydantic import ValidationError

MOST = 5
"""Errors that are told; of the others, how many there are."""


def in_brief(error: Exception) -> str:
    """An error as one line. A `ValidationError` as its fields and what they lack, never with their values."""
    if not isinstance(error, ValidationError):
        return " ".join(str(error).split())
    found = error.errors(include_url=False, include_context=False, include_input=False)
    told = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}".removeprefix(": ") for each in found[:MOST]]
    if len(found) > MOST:
        told.append(f"and {len(found) - MOST} more")
    return "; ".join(told)
