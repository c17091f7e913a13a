"""`serve` and `receipts`: the long-running processes."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from common.http import run

from ledger.app import FAST_LANE, ledger_app, receipts_app
from ledger.settings import LedgerSettings, ReceiptsSettings

if TYPE_CHECKING:
    from ledger.cli.console import Commands


def add(commands: Commands) -> None:
    posting = commands.add_parser("serve", help="post over HTTP and AMQP (the default)")
    posting.set_defaults(run=serve)
    receiving = commands.add_parser("receipts", help="verify attestations and store receipts")
    receiving.set_defaults(run=receipts)


def serve(_: argparse.Namespace) -> int:
    """The posting process, until it is told to stop."""
    settings = LedgerSettings()
    run(ledger_app(settings), settings, FAST_LANE)
    return 0


def receipts(_: argparse.Namespace) -> int:
    """The receipts process, until it is told to stop."""
    settings = ReceiptsSettings()
    run(receipts_app(settings), settings)
    return 0
