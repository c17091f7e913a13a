"""The supervisor with small processes of its own: order, readiness, restarts, stops, orders."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from tools.stack import layout as layouts
from tools.stack.control import Control
from tools.stack.layout import DEFAULT_BASE, OFFSETS, Layout, Occupied, claimed_base, held, is_held
from tools.stack.order import Errand, Step, extras, steps, unknown_needs
from tools.stack.process import Spec
from tools.stack.supervisor import Supervisor

Ready = Callable[[], Awaitable[bool]]

POLITE = """
import pathlib, signal, sys, time
me, diary = sys.argv[1], pathlib.Path(sys.argv[2])
def end(*_):
    with diary.open("a") as book: book.write(f"-{me}\\n")
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
with diary.open("a") as book: book.write(f"+{me}\\n")
while True: time.sleep(60)
"""
"""Writes when it is up and when it is told to end."""


@dataclass
class House:
    """A place for small processes, and what was heard of them."""

    folder: Path
    said: list[str] = field(default_factory=list)

    @property
    def diary(self) -> list[str]:
        path = self.folder / "diary"
        return path.read_text().split() if path.exists() else []

    def polite(self, name: str, *, after: tuple[str, ...] = ()) -> Spec:
        async def ready() -> bool:
            return f"+{name}" in self.diary

        return self.spec(name, POLITE, name, str(self.folder / "diary"), after=after, ready=ready)

    def spec(
        self, name: str, code: str, *arguments: str, after: tuple[str, ...] = (), ready: Ready | None = None
    ) -> Spec:
        async def at_once() -> bool:
            return True

        command = [sys.executable, "-c", code, *arguments]
        return Spec(name, command, {}, ready or at_once, after=after, ready_seconds=20)

    @asynccontextmanager
    async def up(self, *wanted: Step) -> AsyncIterator[Supervisor]:
        supervisor = Supervisor(wanted, self.folder, self.said.append)
        try:
            await supervisor.up()
            yield supervisor
        finally:
            await supervisor.down()


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


async def until(met: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not met():
            await asyncio.sleep(0.02)


def is_alive(pid: int) -> bool:
    """Not counting one that has ended and that nobody has asked about yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def gives_way(pid: int) -> int:
    """The niceness of a process's whole session."""
    return int(Path(f"/proc/{pid}/autogroup").read_text().split()[-1])


async def until_started(supervisor: Supervisor, name: str, starts: int) -> int:
    """The pid, once it runs for the so manieth time."""
    await until(lambda: supervisor.status()[name]["starts"] == starts)
    pid = supervisor.status()[name]["pid"]
    assert pid is not None
    return pid


async def test_each_step_starts_after_what_it_waits_for_and_stops_before_it(house: House) -> None:
    async def errand() -> None:
        with (house.folder / "diary").open("a") as diary:
            diary.write("+errand\n")

    top = house.polite("top", after=("middle",))
    middle = house.polite("middle", after=("errand",))
    async with house.up(top, middle, Errand("errand", errand, after=("bottom",)), house.polite("bottom")):
        assert house.diary == ["+bottom", "+errand", "+middle", "+top"]
    assert house.diary[4:] == ["-top", "-middle", "-bottom"]


async def test_a_killed_process_is_started_again(house: House) -> None:
    async with house.up(house.polite("one")) as supervisor:
        first = await until_started(supervisor, "one", 1)
        supervisor.kill("one", signal.SIGKILL)
        assert await until_started(supervisor, "one", 2) != first
        assert house.said == ["one ended with -9, starting it again in 0.2 s"]


@pytest.mark.skipif(
    not Path("/proc/self/autogroup").exists(), reason="sessions are not scheduled as one here"
)
async def test_what_should_give_way_does_after_every_start(house: House) -> None:
    async with house.up(replace(house.polite("one"), niceness=7), house.polite("other")) as supervisor:
        for starts in (1, 2):
            pid = await until_started(supervisor, "one", starts)
            assert gives_way(pid) == 7
            supervisor.kill("one", signal.SIGKILL)
        other = await until_started(supervisor, "other", 1)
        assert gives_way(other) == 0


async def test_restarts_come_ever_more_slowly(house: House) -> None:
    async with house.up(house.spec("weak", "import time; time.sleep(0.05)")) as supervisor:
        await until_started(supervisor, "weak", 4)
    pauses = [float(line.split()[-2]) for line in house.said]
    assert pauses == [0.2, 0.4, 0.8][: len(pauses)]
    assert len(pauses) >= 3


async def test_what_never_gets_ready_fails_the_start_with_the_end_of_its_log(house: House) -> None:
    async def never() -> bool:
        return False

    broken = house.spec("broken", "raise SystemExit('no such table: entry')", ready=never)
    with pytest.raises(RuntimeError, match=r"(?s)broken is not ready.*no such table: entry") as failed:
        async with house.up(house.polite("fine"), broken):
            pass
    assert "fine" not in str(failed.value)
    assert house.diary[-1] == "-fine"


async def test_a_failed_errand_fails_the_start_and_leaves_nothing_running(house: House) -> None:
    async def fail() -> None:
        raise RuntimeError("migration 7 is broken")

    with pytest.raises(RuntimeError, match="migration 7 is broken"):
        async with house.up(house.polite("one"), Errand("migrations", fail, after=("one",))):
            pass
    assert house.diary == ["+one", "-one"]


async def test_who_does_not_end_when_told_is_killed(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tools.stack.process.STOP_SECONDS", 0.3)
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); time.sleep(60)"

    async def told() -> bool:
        return (house.folder / "deaf.log").read_text() == "1\n"

    async with house.up(house.spec("deaf", deaf, ready=told)) as supervisor:
        pid = await until_started(supervisor, "deaf", 1)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_a_signal_to_a_group_reaches_the_children_too(house: House) -> None:
    parent = (
        "import subprocess, sys; c = subprocess.Popen(['sleep', '60']); print(c.pid, flush=True); c.wait()"
    )

    async def told() -> bool:
        return (house.folder / "parent.log").read_text().endswith("\n")

    spec = house.spec("parent", parent, ready=told)
    spec = Spec(spec.name, spec.command, {}, spec.ready, own_group=True)
    async with house.up(spec):
        child = int((house.folder / "parent.log").read_text())
    await until(lambda: not is_alive(child))


async def test_a_step_that_waits_for_nobody_we_know_is_refused(house: House) -> None:
    with pytest.raises(ValueError, match="nobody brings ghost"):
        Supervisor([house.polite("one", after=("ghost",))], house.folder, house.said.append)


async def test_orders_about_one_process(house: House) -> None:
    async with house.up(house.polite("one")) as supervisor:
        control = Control(supervisor, asyncio.Event())

        async def order(act: str, **what: str) -> dict[str, object]:
            return await control.obey({"act": act, "process": "one", **what})

        first = await until_started(supervisor, "one", 1)
        assert await order("status") == {"up": True, "processes": {"one": {"pid": first, "starts": 1}}}
        assert await order("restart") == {"done": "restart"}
        assert await until_started(supervisor, "one", 1) != first
        await order("kill", signal="KILL")
        await until_started(supervisor, "one", 2)
        await order("wait")
        await order("stop")
        assert supervisor.status() == {}
        with pytest.raises(KeyError):
            await order("kill", signal="KILL")
        await order("start")
        with pytest.raises(RuntimeError, match="already"):
            await order("start")
        with pytest.raises(ValueError, match="no such signal"):
            await order("kill", signal="HARD")
        with pytest.raises(ValueError, match="no such order"):
            await order("dance")
        assert not control.leave.is_set()
        await order("down")
        assert control.leave.is_set()


def test_a_block_with_a_port_taken_is_left_to_whoever_has_it() -> None:
    with claimed_base(25_000) as base, socket.socket() as foreign:
        foreign.bind(("0.0.0.0", 0))  # noqa: S104 - a foreign service may listen anywhere
        assert base >= 25_000
        with claimed_base(base) as next_base:
            assert next_base > base
    with socket.socket() as foreign:
        foreign.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        foreign.bind(("0.0.0.0", base + OFFSETS["postgres"]))  # noqa: S104 - a foreign service may listen anywhere
        foreign.listen()
        with claimed_base(base) as another:
            assert another > base


def test_ports_run_out_with_an_error() -> None:
    with pytest.raises(OSError, match="no free block"), claimed_base(65_000):
        pass


def test_only_one_supervisor_has_a_stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layouts, "ROOT", tmp_path)
    with held("dev"):
        assert is_held("dev")
        with pytest.raises(Occupied), held("dev"):
            pass
    assert not is_held("dev")


def test_the_control_socket_has_a_name_short_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layouts, "ROOT", tmp_path / ("deep" * 50))
    assert len(str(Layout("dev", DEFAULT_BASE).control)) <= 107


def test_every_stack_can_be_brought_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for himself, directly or in a circle, and nobody for a stranger."""
    monkeypatch.setattr(layouts, "ROOT", tmp_path)
    layout = Layout("dev", DEFAULT_BASE)
    layout.make()
    wanted = [*steps(layout), *extras(layout)]
    assert unknown_needs(wanted) == set()
    assert unknown_needs(steps(layout, infra_only=True)) == set()
    up: set[str] = set()
    while next_up := {step.name for step in wanted if step.name not in up and up.issuperset(step.after)}:
        up |= next_up
    assert up == {step.name for step in wanted}
