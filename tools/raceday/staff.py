"""Officials: made by identity's own command line, as an operator would."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from tools.raceday.people import Person, person
from tools.stack.described import Stack


async def officials(stack: Stack, count: int) -> list[Person]:
    """That many officials who can log in. Those who exist already stay as they are."""
    return [await create(stack, person(number, "official"), "official") for number in range(count)]


async def create(stack: Stack, who: Person, role: str) -> Person:
    """Somebody of that role, with the authenticator that the command told them to set up."""
    arguments = ["staff", "create", "--role", role, "--email", who.email, "--curp", who.curp]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "identity", *arguments, "--full-name", who.full_name,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        env=os.environ | {
            "DATABASE_DSN": stack["dsn"]["identity_operator"],
            "MASTER_KEY_FILE": str(Path(stack["secrets_dir"]) / "identity-master"),
        },
    )  # fmt: skip
    told, _ = await process.communicate(who.password.encode())
    if process.returncode != 0:
        raise RuntimeError(f"could not create {who.email}: {told.decode()[-500:]}")
    uri = next(line for line in told.decode().splitlines() if line.startswith("otpauth:"))
    return who.with_authenticator(uri)
