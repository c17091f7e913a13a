"""The append-only history of every payment: each attempt and each answer."""

import json
from collections.abc import Mapping
from typing import Literal
from uuid import UUID

from common.pg import Connection

Answer = Mapping[str, str | int | None]


async def remember(
    conn: Connection,
    subject: Literal["deposit", "withdrawal"],
    subject_id: UUID,
    state: str,
    event: str,
    answer: Answer | None = None,
) -> None:
    """Write down what happened, the state it led to and what was answered."""
    await conn.execute(
        "INSERT INTO history (subject, subject_id, state, event, answer) VALUES ($1, $2, $3, $4, $5)",
        subject,
        subject_id,
        state,
        event,
        None if answer is None else json.dumps(answer, ensure_ascii=False),
    )
