"""When a day has come to rest: not when nothing seems to move, but when nothing is left to be done or to be heard.

What our own databases have open is one half. The other is what the providers know and we do not yet: a transfer on
the statement, an order that came back, a settlement file, a dispute, a webhook on its way. A rest that only looked at ourselves
would depend on who was down for how long.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import asyncpg

from tools.paychaos.checks import PAYMENTS_DRAINED, contradictions, superuser
from tools.paychaos.desk import Provider
from tools.stack.described import Stack

UNHEARD = {
    "every transfer on the statement is a deposit or an arrival": """
        SELECT key FROM unnest($1::text[]) AS key
         WHERE NOT EXISTS (SELECT FROM deposit d WHERE d.tracking_key = key
                           AND (d.state <> 'REJECTED' OR d.reason = 'review-rejected'))
           AND NOT EXISTS (SELECT FROM arrival a WHERE a.tracking_key = key)""",
    "every order that came back is a withdrawal that came back": """
        SELECT clave FROM withdrawal WHERE clave = ANY ($1::text[]) AND state <> 'RETURNED'
           AND NOT EXISTS (SELECT FROM review_case c WHERE c.subject_id = withdrawal.id)""",
    "every settlement file is here": """
        SELECT name FROM unnest($1::text[]) AS name WHERE name NOT IN (SELECT f.name FROM payout_file f)""",
    "every dispute is here, or a case": """
        SELECT id FROM unnest($1::text[]) AS id WHERE NOT EXISTS (SELECT FROM card_dispute d WHERE d.psp_id = id)
           AND NOT EXISTS (SELECT FROM review_case c WHERE c.reason = 'unknown-object:' || id)""",
}
"""By what it says: a query that finds, among what the providers know, what we do not."""


async def waiting_for(stack: Stack, provider: Provider, since: datetime) -> list[str]:
    """Why the day, which began then, has not come to rest yet; nothing: it has."""
    pending = await provider.psp("GET", "/control/pending")
    found = ["webhooks on their way"] if pending["webhooks_waiting"] else []
    found += await contradictions(superuser(stack, "payments"), PAYMENTS_DRAINED)
    found += await _unheard(stack, provider, since, pending["files"], pending["disputes"])
    for service in ("ledger", "payments"):
        connection = await asyncpg.connect(superuser(stack, service), timeout=5)
        try:
            waiting = await connection.fetchval("SELECT count(*) FROM outbox")
        finally:
            await connection.close()
        if waiting:
            found.append(f"{waiting} messages in {service}'s outbox")
    return found


async def _unheard(
    stack: Stack, provider: Provider, since: datetime, files: list[str], disputes: list[str]
) -> list[str]:
    begin = (since - timedelta(seconds=5)).isoformat().replace("+00:00", "Z")
    abonos = (await provider.rail("GET", f"/abonos?since={begin}"))["items"]
    came_back = (await provider.rail("GET", f"/devoluciones?since={begin}"))["items"]
    keys = [
        f"{each['operation_date'].replace('-', '')}:{each['institution']}:{each['clave'].upper()}"
        for each in abonos
        if each["status"] == "liquidado"
    ]
    found = []
    connection = await asyncpg.connect(superuser(stack, "payments"), timeout=5)
    try:
        for (says, query), known in zip(
            UNHEARD.items(), (keys, [each["clave"] for each in came_back], files, disputes), strict=True
        ):
            rows = await connection.fetch(query, known)
            if rows:
                found.append(f"it is not so yet that {says}: {[row[0] for row in rows[:3]]}")
    finally:
        await connection.close()
    return found
