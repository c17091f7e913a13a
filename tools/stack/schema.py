"""The readable whole of a database: what its migrations add up to, without what differs from run to run."""

from __future__ import annotations

import re
import sys
from difflib import unified_diff
from typing import Final

from tools.stack import postgres
from tools.stack.layout import ROOT, Layout
from tools.stack.running import output


async def dump(layout: Layout, service: str, *, check: bool) -> bool:
    """Write `services/<service>/schema.sql`, or with `check` only tell whether it is what the migrations make."""
    told = await output(
        postgres.programs() / "pg_dump", "--schema-only", "--no-owner",
        environment=postgres.client(layout, f"{service}_migrator", service),
    )  # fmt: skip
    text = normalised(told)
    path = ROOT / "services" / service / "schema.sql"
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    if check:
        difference = unified_diff(
            before.splitlines(), text.splitlines(), str(path), "migrations", lineterm=""
        )
        sys.stderr.writelines(f"{line}\n" for line in difference)
        return before == text
    path.write_text(text, encoding="utf-8")
    return True


_NOISE: Final = re.compile(
    r"--($| Name: | PostgreSQL database dump| Dumped )|SELECT pg_catalog\.set_config|\\(un)?restrict |"
    r"SET (statement_timeout|lock_timeout|idle_in_transaction_session_timeout|transaction_timeout|client_encoding|"
    r"standard_conforming_strings|check_function_bodies|xmloption|client_min_messages|row_security|"
    r"default_tablespace|default_table_access_method) = "
)


def normalised(text: str) -> str:
    """Without pg_dump's own comments, its session's settings and the tokens its newer versions add."""
    kept = [line for line in text.splitlines() if not _NOISE.match(line)]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(kept)).strip() + "\n"
