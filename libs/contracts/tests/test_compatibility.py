"""A published `.v1` keeps every field as it was: checked against the committed schemas."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from contracts.compatibility import ENVELOPE, breaks, is_command, published

RELEASED = Path(__file__).resolve().parents[3] / "docs" / "contracts"

Schema = dict[str, Any]


def test_nothing_published_was_removed_or_retyped() -> None:
    """When this fails: leave the field as it was, or publish a `.v2` beside it. Never edit docs/contracts."""
    now = published()
    complaints = []
    for path in sorted(RELEASED.glob("*.json")):
        name = path.stem
        if name not in now:
            complaints.append(f"{name}: the message is gone")
            continue
        before = json.loads(path.read_text(encoding="utf-8"))
        complaints += [f"{name}: {said}" for said in breaks(before, now[name], command=is_command(name))]
    assert complaints == []


def test_there_is_something_published() -> None:
    names = {path.stem for path in RELEASED.glob("*.json")}
    assert {
        ENVELOPE,
        "ledger.entry.committed.v1",
        "ledger.post.requested.v1",
        "betting.market.settled.v1",
    } <= names


def settled() -> Schema:
    return copy.deepcopy(published()["betting.market.settled.v1"])


def requested() -> Schema:
    return copy.deepcopy(published()["ledger.post.requested.v1"])


def drop(schema: Schema) -> None:
    del schema["properties"]["total"]
    schema["required"].remove("total")


def retype(schema: Schema) -> None:
    schema["properties"]["total"] = {"type": "number"}


def narrow(schema: Schema) -> None:
    schema["properties"]["winner"] = {"type": "string", "format": "uuid"}


def loosen(schema: Schema) -> None:
    schema["required"].remove("total")


def repattern(schema: Schema) -> None:
    schema["properties"]["currency"]["pattern"] = "^[A-Z]{4}$"


@pytest.mark.parametrize("change", [drop, retype, narrow, loosen, repattern])
def test_a_change_that_breaks_readers_is_seen(change: Callable[[Schema], None]) -> None:
    changed = settled()
    change(changed)
    assert breaks(settled(), changed)


def test_a_change_deep_inside_is_seen() -> None:
    changed = requested()
    changed["$defs"]["Posting"]["properties"]["amount"]["type"] = "number"
    (told,) = breaks(requested(), changed, command=True)
    assert "amount" in told


def test_a_new_field_breaks_nobody_who_reads() -> None:
    changed = settled()
    changed["properties"]["photo"] = {"type": "string"}
    changed["required"].append("photo")
    assert breaks(settled(), changed) == []


def test_a_new_field_that_senders_must_fill_breaks_them() -> None:
    changed = requested()
    changed["properties"]["reason"] = {"type": "string"}
    assert breaks(requested(), changed, command=True) == []
    changed["required"].append("reason")
    assert breaks(requested(), changed, command=True) == [".reason: must be sent now"]


def test_an_enumeration_may_grow_and_not_shrink() -> None:
    before, more, less = ({"enum": list(values)} for values in ("ab", "abc", "a"))
    assert breaks(before, more) == []
    assert breaks(before, less) == ["it: no longer 'b'"]


def test_what_is_said_to_people_may_change() -> None:
    changed = settled()
    changed["description"] = changed["title"] = "Better said"
    assert breaks(settled(), changed) == []
