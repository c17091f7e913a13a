"""The ledger's processes and its commands for operators: one file per group of commands.

A group adds its parsers in `add` and names, with `set_defaults(run=…)`, the function that carries a command
out and returns the exit status. A refusal (`DomainError`) is told on standard error and exits with 1; so is a setting
that is missing or makes no sense.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from common.errors import DomainError
from pydantic import ValidationError

from ledger.cli import closing, deadletters, journal, keys, processes, rebuilding, reports, seals, verifying
from ledger.cli.console import ERRORS

GROUPS = (
    processes,
    keys,
    closing,
    rebuilding,
    reports,
    seals,
    verifying,
    journal,
    deadletters,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the chosen process or command; the exit status is 1 when it was refused."""
    parser = argparse.ArgumentParser(prog="python -m ledger", description="El Carril's ledger")
    parser.set_defaults(run=processes.serve)
    commands = parser.add_subparsers(metavar="command")
    for group in GROUPS:
        group.add(commands)
    wanted = parser.parse_args(arguments)
    try:
        status: int = wanted.run(wanted)
    except DomainError as refused:
        ERRORS.print(f"{refused.title}: {refused.detail}")
        return 1
    except ValidationError as wrong:  # of settings: whatever else is validated is caught where it is read
        for each in wrong.errors():
            ERRORS.print(f"{'_'.join(map(str, each['loc'])).upper()}: {each['msg']}")
        return 1
    return status
