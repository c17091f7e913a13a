"""The append-only history of every payment: each attempt and each answer."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from common.pg import Connection

Answer = Mapping[str, str | int | None]
Subject = Literal["deposit", "withdrawal", "card", "proof", "arrival", "case"]


async def remember(
    conn: Connection,
    subject: Subject,
    subject_id: UUID,
    state: str,
    event: str,
    answer: Answer | None = None,
    *,
    person: str | None = None,
) -> None:
    """Write down what happened, the state it led to, what was answered and who decided it, if a person did."""
    if person is not None:
        await conn.execute(
            "INSERT INTO history (subject, subject_id, state, event, answer, person) VALUES ($1, $2, $3, $4, $5, $6)",
            subject,
            subject_id,
            state,
            event,
            None if answer is None else json.dumps(answer, ensure_ascii=False),
            person,
        )
        return
    await conn.execute(
        "INSERT INTO history (subject, subject_id, state, event, answer) VALUES ($1, $2, $3, $4, $5)",
        subject,
        subject_id,
        state,
        event,
        None if answer is None else json.dumps(answer, ensure_ascii=False),
    )


@dataclass(frozen=True, slots=True)
class Line:
    """Something that happened to a payment, and who did it: a role of ours, or a person."""

    at: datetime
    subject: str
    actor: str
    person: str | None
    state: str
    event: str
    answer: str | None


async def history_of(conn: Connection, subject_ids: Sequence[UUID], limit: int = 500) -> Sequence[Line]:
    """What happened to these, in order: of what is asked about for days, the latest."""
    rows = await conn.fetch(
        """
        SELECT at, subject, actor, person, state, event, answer
          FROM (SELECT * FROM history WHERE subject_id = ANY ($1::uuid[]) ORDER BY id DESC LIMIT $2) AS latest ORDER BY id
        """,
        list(subject_ids),
        limit,
    )
    return [Line(*row) for row in rows]
