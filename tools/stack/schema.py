"""The readable whole of a database: what its migrations add up to, without what differs from run to run."""

from __future__ import annotations

import asyncio
import re

from tools.stack import postgres
from tools.stack.layout import ROOT, Layout


async def dump(layout: Layout, service: str, *, check: bool) -> bool:
    """Write `services/<service>/schema.sql`, or with `check` only tell whether it is what the migrations make."""
    process = await asyncio.create_subprocess_exec(
        str(postgres.BIN / "pg_dump"), "--schema-only", "--no-owner", postgres.dsn(layout, f"{service}_migrator"),
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    told, _ = await process.communicate()
    if process.returncode != 0:
        raise RuntimeError(f"pg_dump of {service} failed")
    text = _normalised(told.decode())
    path = ROOT / "services" / service / "schema.sql"
    if check:
        return path.exists() and path.read_text(encoding="utf-8") == text
    path.write_text(text, encoding="utf-8")
    return True


def _normalised(text: str) -> str:
    """Without comments, session settings and the tokens newer pg_dump versions add."""
    kept = [
        line
        for line in text.splitlines()
        if not re.match(r"--|SET |SELECT pg_catalog\.set_config|\\(un)?restrict", line)
    ]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(kept)).strip() + "\n"
