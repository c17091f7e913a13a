"""`deadletters`: commands that could not be posted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from common.amqp.console import add_deadletters
from contracts.topology import queues_of

if TYPE_CHECKING:
    from ledger.cli.console import Commands


def add(commands: Commands) -> None:
    add_deadletters(commands, queues_of("ledger"))
