"""Officials: made by identity's own command line, as an operator would."""

from __future__ import annotations

import asyncio
import os
import sys

from tools.raceday.books import Stack
from tools.raceday.people import Person, person


async def officials(stack: Stack, count: int) -> list[Person]:
    """That many officials who can log in. Those who exist already stay as they are."""
    people = [person(number, "official") for number in range(count)]
    for who in people:
        await _create(stack, who)
    return people


async def _create(stack: Stack, who: Person) -> None:
    arguments = ["staff", "create", "--role", "official", "--email", who.email, "--curp", who.curp]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "identity", *arguments, "--full-name", who.full_name,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        env=os.environ | {"DATABASE_DSN": stack["dsn"]["identity_app"]},
    )  # fmt: skip
    told, _ = await process.communicate(who.password.encode())
    if process.returncode != 0 and b"already" not in told:
        raise RuntimeError(f"could not create {who.email}: {told.decode()[-500:]}")
