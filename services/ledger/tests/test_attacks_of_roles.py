"""What no runtime role may touch: history, what is derived from it, and the rules themselves."""

from __future__ import annotations

import asyncpg
import pytest

from services.ledger.tests.forgery import ROLES, Scene
from services.ledger.tests.forgery import scene as scene
from services.ledger.tests.vocabulary import (
    connected,
)

HISTORY = ("entry", "posting", "refusal", "receipt", "receipt_use", "account")
DERIVED = ("balance", "hold", "stake", "settlement", "head")


@pytest.mark.parametrize("role", ROLES)
async def test_no_role_rewrites_history_or_writes_derived_rows(scene: Scene, role: str) -> None:
    changes = {"entry": "kind", "posting": "amount", "refusal": "kind", "receipt": "amount", "receipt_use": "amount",
               "account": "class", "balance": "amount", "hold": "remaining", "stake": "contributed",
               "settlement": "paid", "head": "sequence"}  # fmt: skip
    for table in (*HISTORY, *DERIVED):
        column = changes[table]
        for statement in (
            f"UPDATE {table} SET {column} = {column}",
            f"DELETE FROM {table}",
            f"TRUNCATE {table} CASCADE",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await scene.at[role].execute(statement)
    for table in ("balance", "hold", "stake", "settlement", "head", "receipt_use", "outbox"):
        with pytest.raises(asyncpg.PostgresError):
            await scene.at[role].execute(f"INSERT INTO {table} SELECT * FROM {table}")


async def test_not_even_the_owner_rewrites_history_by_accident(scene: Scene) -> None:
    async with connected(scene.bank.database, "ledger_migrator") as owner:
        for table in HISTORY:
            for statement in (f"DELETE FROM {table}", f"TRUNCATE {table} CASCADE"):
                with pytest.raises(asyncpg.CheckViolationError):
                    await owner.execute(statement)
        for statement in ("UPDATE posting SET amount = 1", "UPDATE entry SET kind = 'x'"):
            with pytest.raises(asyncpg.CheckViolationError):
                await owner.execute(statement)
        for statement in (
            "UPDATE balance SET amount = -1",
            "UPDATE head SET sequence = 0",
            "DELETE FROM hold",
        ):
            with pytest.raises(asyncpg.CheckViolationError):
                await owner.execute(statement)


@pytest.mark.parametrize("role", ROLES)
async def test_no_role_switches_the_rules_off(scene: Scene, role: str) -> None:
    for statement in (
        "SET session_replication_role = replica",
        "ALTER TABLE posting DISABLE TRIGGER ALL",
        "ALTER TABLE posting DISABLE TRIGGER posting_added",
        "DROP TRIGGER posting_added ON posting",
        "ALTER TABLE posting DROP CONSTRAINT posting_is_not_zero",
        "CREATE OR REPLACE FUNCTION refuse(rule text, message text) RETURNS void LANGUAGE sql AS ''",
        "SET ROLE ledger_owner",
        "SET ROLE ledger_migrator",
        "SET SESSION AUTHORIZATION postgres",
        "CREATE TABLE mine (x int)",
        "INSERT INTO kind (chart, name) VALUES ('el-carril', 'grant')",
        "INSERT INTO kind_leg VALUES ('el-carril', 'bet.release', 'credit', 'house.commission')",
        "UPDATE account_class SET floored = false",
        "UPDATE principal SET ledger_id = 2",
        "SELECT posting_added()",
    ):
        with pytest.raises(asyncpg.PostgresError):
            await scene.at[role].execute(statement)


async def test_only_the_key_manager_permits_kinds(scene: Scene) -> None:
    for role in ("ledger_posting", "ledger_receipts", "ledger_reader", "ledger_relay"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await scene.at[role].execute("UPDATE principal SET kinds = '{deposit}'")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await scene.at[role].execute("INSERT INTO principal VALUES (1, 'x', '{deposit}')")
