"""`python -m tools.mutations [NAME…]`: run the gate on a stack's servers (`make mutations`).

Each test must pass with its guard in place before it counts that it fails without.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import asyncpg
from common.testing import VARIABLE

from tools.mutations.every import EVERY
from tools.mutations.guards import CodeGuard, DatabaseGuard
from tools.stack.described import running_stack
from tools.stack.layout import ROOT

COPY = ROOT / ".run" / "mutations"
MEMBERS = [
    str(folder.relative_to(ROOT))
    for kind in ("libs", "services")
    for folder in sorted((ROOT / kind).iterdir())
]
TEST_SECONDS = 900


def copy_tree() -> None:
    """The tree as it is now, without what git does not know."""
    shutil.rmtree(COPY, ignore_errors=True)
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    for name in listed.stdout.splitlines():
        source, target = ROOT / name, COPY / name
        if source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
    # What lies beside the tree: the stack's own folder (a replica copies its server's files) and the programs.
    home = Path(os.environ[VARIABLE]).parent
    (COPY / ".run").mkdir()
    (COPY / ".run" / home.name).symlink_to(home)
    for beside in (".tools", ".venv"):
        if (ROOT / beside).exists():
            (COPY / beside).symlink_to(ROOT / beside)


def passes(tests: Sequence[str], *, whole: bool = False) -> bool:
    """Whether the tests pass in the copy; `whole`: on a stack of the copy's own, with every service."""
    path = os.pathsep.join(str(COPY / member) for member in MEMBERS)
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    on_a_stack: list[str] = []
    if whole:
        environment.pop(VARIABLE, None)
        on_a_stack = [sys.executable, "-m", "tools.stack", "with", "--"]
    done = subprocess.run(
        [*on_a_stack, sys.executable, "-m", "pytest", "-q", "-x", "--no-header", "--show-capture=no", "--tb=no",
         "-p", "no:cacheprovider", *tests],
        cwd=COPY, env=environment, capture_output=True, text=True, timeout=TEST_SECONDS,
    )  # fmt: skip
    if done.returncode not in (0, 1):
        raise RuntimeError(f"pytest could not run {tests}: {done.stdout[-2000:]} {done.stderr[-2000:]}")
    return done.returncode == 0


def without_code(guard: CodeGuard) -> bool:
    """Whether the tests pass without a guard in a file. Raises ValueError when it is not there to be taken away."""
    file = COPY / guard.file
    text = file.read_text(encoding="utf-8")
    if text.count(guard.old) != 1:
        raise ValueError(f"{guard.name}: {guard.file} has it {text.count(guard.old)} times")
    file.write_text(text.replace(guard.old, guard.new), encoding="utf-8")
    try:
        return passes(guard.tests, whole=guard.whole)
    finally:
        file.write_text(text, encoding="utf-8")


def without_rule(guard: DatabaseGuard) -> bool:
    """Whether the tests pass without a guard in the database that tests are copied from."""
    asyncio.run(_execute(guard.service, guard.drop))
    try:
        return passes(guard.tests)
    finally:
        asyncio.run(_execute(guard.service, guard.restore))


async def _execute(service: str, statement: str) -> None:
    """In the database that copies are made from, which takes no connections otherwise."""
    dsn = running_stack()["postgres"]["superuser_dsn"]
    base, _, _ = dsn.rpartition("/")
    admin = await asyncpg.connect(dsn)
    try:
        await admin.execute(f"ALTER DATABASE {service}_pristine ALLOW_CONNECTIONS true")
        connection = await asyncpg.connect(f"{base}/{service}_pristine")
        try:
            await connection.execute(statement)
        finally:
            await connection.close()
            await admin.execute(f"ALTER DATABASE {service}_pristine ALLOW_CONNECTIONS false")
    finally:
        await admin.close()


def _needs_all(guard: CodeGuard | DatabaseGuard) -> bool:
    return isinstance(guard, CodeGuard) and guard.whole


def main(wanted: Sequence[str]) -> int:
    """The exit status: 1 when a guard can be taken away unnoticed."""
    copy_tree()
    guards = [each for each in EVERY if not wanted or any(word in each.name for word in wanted)]
    alone = {test for guard in guards if not _needs_all(guard) for test in guard.tests}
    together = {test for guard in guards if _needs_all(guard) for test in guard.tests}
    if (alone and not passes(sorted(alone))) or (together and not passes(sorted(together), whole=True)):
        print("the tests do not pass with every guard in place")
        return 1
    unnoticed = []
    for guard in guards:
        noticed = not (without_code(guard) if isinstance(guard, CodeGuard) else without_rule(guard))
        print(f"{'noticed  ' if noticed else 'UNNOTICED'}  {guard.name}", flush=True)
        if not noticed:
            unnoticed.append(guard.name)
    print(f"{len(guards) - len(unnoticed)} of {len(guards)} guards are missed when they are gone")
    shutil.rmtree(COPY, ignore_errors=True)
    return 1 if unnoticed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
