"""What can be done to an account itself: look at it, close it, note something about it."""

from __future__ import annotations

from collections.abc import Mapping

from common.pg import Connection, Pool, transaction

from ledger.domain import refusals
from ledger.domain.closing import AccountState, check_closing, check_describing
from ledger.store import account_acts as store
from ledger.store.books import load_permitted, lock_head


class AccountKeeping:
    """The accounts of every ledger this process serves."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def account(self, ledger: int, account: str, currency: str) -> AccountState:
        """Raises NoSuchAccount when it was never posted to."""
        async with transaction(self._pool, readonly=True) as connection:
            return await _found(connection, ledger, account, currency)

    async def close(self, ledger: int, principal: str, account: str, currency: str) -> AccountState:
        """Close an account for ever. One that is closed already stays as it is.

        Raises:
            NoSuchAccount, MayNotClose.
            AccountNotEmpty: it has a balance, open holds keep some of its money, or a stake of it is not settled.
        """
        async with transaction(self._pool) as connection:
            await lock_head(connection, ledger)  # the books stand still between look and act
            found = await _found(connection, ledger, account, currency)
            permitted = (await load_permitted(connection, ledger)).get(principal, frozenset())
            check_closing(found, permitted, staked_in=await store.staked_in(connection, found.id))
            if found.closed_at is None:
                await store.close(connection, found.id, principal)
            return await _found(connection, ledger, account, currency)

    async def describe(
        self, ledger: int, principal: str, account: str, currency: str, metadata: Mapping[str, str]
    ) -> AccountState:
        """Note this about the account, in place of what was noted before.

        Raises:
            NoSuchAccount, MayNotDescribe.
        """
        async with transaction(self._pool) as connection:
            check_describing((await load_permitted(connection, ledger)).get(principal, frozenset()))
            found = await _found(connection, ledger, account, currency)
            await store.describe(connection, found.id, metadata)
            return await _found(connection, ledger, account, currency)


async def _found(connection: Connection, ledger: int, account: str, currency: str) -> AccountState:
    found = await store.account_state(connection, ledger, account, currency)
    if found is None:
        raise refusals.NoSuchAccount(f"no account {account} in {currency}", field="account")
    return found
