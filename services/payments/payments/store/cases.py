"""Cases, the rules in force and the facts that they are held against."""

import json
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from asyncpg import Record
from common.pg import Connection, translate

from payments.domain.cases import Case, CaseState, Decision, Subject
from payments.domain.refusals import DecisionImpossible, FourEyes, ProposerMayNot
from payments.domain.review import LINKED_DEPOSITS, Facts, Rule
from payments.domain.withdrawals import Withdrawal
from payments.store.pages import Place


class CaseStore:
    """Cases on one connection."""

    def __init__(self, conn: Connection) -> None:
        self._conn = conn

    async def open(self, case: Case) -> bool:
        """Open a case, unless one like it is open."""
        opened = await self._conn.fetchval(
            """
            INSERT INTO review_case (id, subject, subject_id, reason, player, amount, evidence, four_eyes, opened_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
            ON CONFLICT (subject, subject_id, reason) WHERE state <> 'DECIDED' DO NOTHING RETURNING true
            """,
            case.id,
            case.subject,
            case.subject_id,
            case.reason,
            case.player,
            case.amount,
            json.dumps(dict(case.evidence), ensure_ascii=False),
            case.four_eyes,
            case.opened_at,
        )
        return bool(opened)

    async def was_opened(self, subject: Subject, subject_id: UUID, reason: str) -> bool:
        """Whether there is, or ever was, a case about it for that reason."""
        found: bool = await self._conn.fetchval(
            "SELECT EXISTS (SELECT FROM review_case WHERE subject = $1 AND subject_id = $2 AND reason = $3)",
            subject,
            subject_id,
            reason,
        )
        return found

    async def for_update(self, case_id: UUID) -> Case | None:
        """A case, locked."""
        row = await self._conn.fetchrow("SELECT * FROM review_case WHERE id = $1 FOR UPDATE", case_id)
        return None if row is None else _case(row)

    async def by_id(self, case_id: UUID) -> Case | None:
        row = await self._conn.fetchrow("SELECT * FROM review_case WHERE id = $1", case_id)
        return None if row is None else _case(row)

    async def queue(self, subject: Subject | None, after: Place | None, limit: int) -> Sequence[Case]:
        """Cases that are not decided, the oldest first, from after that place."""
        rows = await self._conn.fetch(
            """
            SELECT * FROM review_case
            WHERE state <> 'DECIDED' AND ($1::text IS NULL OR subject = $1)
              AND ($2::timestamptz IS NULL OR (opened_at, id) > ($2, $3))
            ORDER BY opened_at, id LIMIT $4
            """,
            subject,
            after and after.at,
            after and after.id,
            limit,
        )
        return [_case(row) for row in rows]

    async def others_open(self, case: Case) -> bool:
        """Whether another case about the same thing is not decided yet."""
        found: bool = await self._conn.fetchval(
            """
            SELECT EXISTS (SELECT FROM review_case
                           WHERE subject = $1 AND subject_id = $2 AND id <> $3 AND state <> 'DECIDED')
            """,
            case.subject,
            case.subject_id,
            case.id,
        )
        return found

    async def save(self, case: Case) -> Case:
        """A proposal, which is counted, or a decision. Raises `FourEyes`, `DecisionImpossible`, `ProposerMayNot`."""
        with translate(
            {
                "review_case_has_four_eyes": lambda: FourEyes("whoever proposed it does not decide it"),
                "review_case_is_decided_once": lambda: DecisionImpossible("the case is decided"),
                "review_case_proposer_still_may": lambda: ProposerMayNot("propose it anew"),
            }
        ):
            row = await self._conn.fetchrow(
                """
                UPDATE review_case SET state = $2, decision = $3, note = $4, target = $5, proposed_by = $6, decided_by = $7,
                                       decided_at = $8, proposed_on = $9, confirmed_on = $10
                WHERE id = $1 RETURNING *
                """,
                case.id,
                case.state,
                case.decision,
                case.note,
                case.target,
                case.proposed_by,
                case.decided_by,
                case.decided_at,
                case.proposed_on,
                case.confirmed_on,
            )
        if row is None:
            raise RuntimeError("a locked case is there")
        return _case(row)

    async def reported(self, since: date, until: date) -> Sequence[Case]:
        """Cases that people decided to report, by day of the decision, both days included."""
        rows = await self._conn.fetch(
            """
            SELECT * FROM review_case WHERE state = 'DECIDED' AND decision = 'report'
               AND decided_at >= $1::date AND decided_at < $2::date + 1 ORDER BY decided_at, id
            """,
            since,
            until,
        )
        return [_case(row) for row in rows]

    async def rules(self, day: date) -> Mapping[str, Rule]:
        """The rules in force on that day: of each name the newest."""
        rows = await self._conn.fetch(
            """
            SELECT DISTINCT ON (name) name, threshold, window_hours FROM aml_rule
            WHERE valid_from <= $1 ORDER BY name, valid_from DESC
            """,
            day,
        )
        return {
            row["name"]: Rule(row["name"], row["threshold"], timedelta(hours=row["window_hours"]))
            for row in rows
        }

    async def one_sum_at_a_time(self, player: UUID) -> None:
        """Until the transaction ends nobody else adds up this player's deposits to see whether people are to be told."""
        await self._conn.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended($1, hashtextextended('linked deposits', 0)))",
            str(player),
        )

    async def deposited(self, player: UUID, since: datetime) -> Decimal:
        """What a player has deposited by all rails since then, or since people last looked at just that."""
        found: Decimal = await self._conn.fetchval(
            """
            WITH begins AS (
                SELECT greatest($2, (SELECT max(decided_at) FROM review_case
                                      WHERE subject = 'player' AND subject_id = $1 AND reason = $3)) AS at)
            SELECT (SELECT coalesce(sum(amount), 0) FROM deposit, begins
                     WHERE player = $1 AND booked_at > begins.at)
                 + (SELECT coalesce(sum(o.amount), 0) FROM begins, card_payment p
                      JOIN card_operation o ON o.payment_id = p.id AND o.act = 'capture'
                     WHERE p.player = $1 AND o.booked_at > begins.at)
            """,
            player,
            since,
            LINKED_DEPOSITS,
        )
        return found

    async def facts(
        self,
        withdrawal: Withdrawal,
        rules: Mapping[str, Rule],
        now: datetime,
        *,
        has_played: bool,
        password_changed_at: datetime | None,
    ) -> Facts:
        """What is known about a withdrawal: what others have told of its player, and what is here."""

        def since(name: str) -> datetime:
            return now - (rules[name].window if name in rules else timedelta(0))

        row = await self._conn.fetchrow(
            """
            SELECT (SELECT count(*) FROM withdrawal WHERE player = $1 AND requested_at >= $3) AS of_player,
                   (SELECT count(*) FROM withdrawal WHERE clabe = $2 AND requested_at >= $4) AS to_clabe,
                   (SELECT known_since FROM payout_clabe WHERE player = $1 AND clabe = $2) AS known_since,
                   (SELECT count(*) FROM payout_clabe WHERE player = $1) AS clabes,
                   (SELECT count(*) FROM payout_clabe WHERE clabe = $2) AS players,
                   (SELECT count(*) FROM withdrawal WHERE device = $5 AND requested_at >= $6) AS by_device,
                   (SELECT count(DISTINCT player) FROM withdrawal WHERE device = $5 AND requested_at >= $7) AS on_device
            """,
            withdrawal.player,
            withdrawal.clabe,
            since("withdrawals-per-player"),
            since("withdrawals-per-clabe"),
            withdrawal.device,
            since("withdrawals-per-device"),
            since("device-shared"),
        )
        if row is None:
            raise RuntimeError("a SELECT without FROM always has a row")
        return Facts(
            amount=withdrawal.amount.amount,
            withdrawals_of_player=row["of_player"],
            withdrawals_to_clabe=row["to_clabe"],
            clabe_known_since=row["known_since"],
            clabes_of_player=row["clabes"],
            players_of_clabe=row["players"],
            deposited=await self.deposited(withdrawal.player, since("linked-deposits-sum")),
            has_played=has_played,
            withdrawals_by_device=row["by_device"],
            players_of_device=row["on_device"],
            password_changed_at=password_changed_at,
        )


def _case(row: Record) -> Case:
    return Case(
        id=row["id"],
        subject=Subject(row["subject"]),
        subject_id=row["subject_id"],
        reason=row["reason"],
        opened_at=row["opened_at"],
        four_eyes=row["four_eyes"],
        player=row["player"],
        amount=row["amount"],
        evidence=json.loads(row["evidence"]),
        state=CaseState(row["state"]),
        decision=None if row["decision"] is None else Decision(row["decision"]),
        note=row["note"],
        target=row["target"],
        proposal=row["proposal"],
        proposed_by=row["proposed_by"],
        proposed_on=row["proposed_on"],
        confirmed_on=row["confirmed_on"],
        decided_by=row["decided_by"],
        decided_at=row["decided_at"],
    )
