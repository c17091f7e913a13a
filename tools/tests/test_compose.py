"""`docker-compose.yml` is the same platform as the supervisor's: the same settings, order and separation."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel, TypeAdapter

from tools import compose
from tools.compose import OURS, ComposeLayout, settings
from tools.stack.layout import DEFAULT_BASE, OFFSETS, ROOT
from tools.stack.process import Spec
from tools.stack.services import specs


class Service(BaseModel):
    """What the tests look at."""

    environment: dict[str, str] = {}
    depends_on: dict[str, dict[str, str]] = {}
    volumes: list[str]
    ports: list[str] = []


SERVICES = TypeAdapter(dict[str, Service]).validate_python(
    yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
)
JOBS = {"secrets", "prepare", "demo-day"}
WATCHER = SERVICES.pop("prometheus")
"""Comes from outside and is part of no stack."""
READS = {"central-bank": "rail"}
"""Who has no secrets of its own, and reads what another writes down."""


@pytest.fixture
def wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Spec]:
    """The processes as the jobs see them, after `secrets` has run."""
    monkeypatch.setattr(compose, "VOLUMES", tmp_path)
    for volume in (*SERVICES, OURS):
        (tmp_path / volume).mkdir()
    layout = ComposeLayout("compose", 0)
    asyncio.run(compose.make_secrets(layout))
    return specs(layout)


def in_volume(text: str, volumes: Path) -> str:
    return text.replace(str(volumes), "/run/el-carril")


def test_every_process_has_the_settings_that_the_supervisor_would_give_it(
    wanted: list[Spec], tmp_path: Path
) -> None:
    for spec in wanted:
        theirs = {name: in_volume(value, tmp_path) for name, value in settings(spec).items()}
        ours = SERVICES[spec.name].environment
        for decoded in (ours, theirs):
            if "HEALTH_URLS" in decoded:
                decoded["HEALTH_URLS"] = json.dumps(json.loads(decoded["HEALTH_URLS"]), sort_keys=True)
        assert ours == theirs, spec.name


def test_every_process_waits_for_what_it_needs(wanted: list[Spec]) -> None:
    names = {spec.name for spec in wanted}
    for spec in wanted:
        conditions = {name: how["condition"] for name, how in SERVICES[spec.name].depends_on.items()}
        for need in names.intersection(spec.after):
            assert conditions[need] == "service_healthy", f"{spec.name} needs {need}"


def test_no_password_is_in_the_file_and_every_secret_is_in_its_own_volume(
    wanted: list[Spec], tmp_path: Path
) -> None:
    for spec in wanted:
        handed_out = {path.name for path in (tmp_path / spec.name).iterdir()}
        named = {
            Path(value).name
            for name, value in SERVICES[spec.name].environment.items()
            if value.startswith("/run/el-carril/") and name != "STATE_FILE"
        }
        missing = {name for name in named - handed_out if not name.startswith("ledger-key-")}
        assert not missing, f"{spec.name} would not find {missing}"
        assert handed_out <= named, f"{spec.name} is given more than it asks for"


def test_only_the_jobs_see_more_than_their_own_secrets() -> None:
    for name, service in SERVICES.items():
        secrets = {volume.partition(":")[0] for volume in service.volumes if volume.startswith("secrets-")}
        if name in JOBS:
            assert len(secrets) == len(SERVICES) - len(JOBS) + 1
        else:
            assert secrets == {f"secrets-{READS.get(name, name)}"}


def test_ports_are_those_of_make_run_and_on_this_machine_alone() -> None:
    for name, service in SERVICES.items():
        for published in service.ports:
            address, port, _ = published.split(":")
            assert address == "127.0.0.1"
            process = "rabbitmq-management" if name == "rabbitmq" else name
            assert int(port) == DEFAULT_BASE + OFFSETS[process]


def test_who_watches_has_no_secret_and_listens_on_this_machine_alone() -> None:
    assert not [volume for volume in WATCHER.volumes if volume.startswith("secrets-")]
    assert [port.split(":")[0] for port in WATCHER.ports] == ["127.0.0.1"]


def test_the_broker_is_told_every_user_and_no_clear_password(wanted: list[Spec], tmp_path: Path) -> None:
    assert wanted
    told = json.loads((tmp_path / "rabbitmq" / "definitions.json").read_text())
    assert {"admin", "topology", "ledger", "relay-betting"} <= {user["name"] for user in told["users"]}
    assert all("password" not in user for user in told["users"])
