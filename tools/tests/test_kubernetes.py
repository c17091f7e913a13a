"""`deploy/k8s` is the same platform as the supervisor's, for a cluster: the same settings, no more rights, no other roads.

What kustomize makes of an overlay is looked at, not the files; the jobs' own commands are run on the stack's servers.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import kubernetes_validate
import pytest
import yaml
from common.testing import fresh_database, stack

from tools import compose
from tools.compose import ComposeLayout, settings
from tools.stack.layout import ROOT
from tools.stack.postgres import SERVICES
from tools.stack.process import Spec
from tools.stack.services import specs

FOLDER: Final = ROOT / "deploy" / "k8s"
SIMULATED: Final = {"rail", "central-bank", "psp"}
"""Providers: outside, in a cluster."""
PROVIDERS: Final = {"RAIL_URL": "<rail>", "CENTRAL_BANK_URL": "<central-bank>", "PSP_URL": "<psp>"}
"""Where they are comes from a map of the overlay's."""
NOT_TOLD_ELSEWHERE: Final = {
    "DRAIN_SECONDS", "TRUSTED_PROXIES", "CORS_ORIGINS", "REPLICA_DSN_FILE", "MESSENGER_URL_FILE"
}  # fmt: skip
"""Settings that only a cluster's processes are given."""
KUBERNETES: Final = "1.33"

Object = Mapping[str, Any]


def made(folder: str) -> list[dict[str, Any]]:
    """What would be applied."""
    kubectl = Path(sys.executable).with_name("kubectl")
    told = subprocess.run(
        [kubectl, "kustomize", FOLDER / folder], check=True, capture_output=True, text=True, timeout=60
    )
    return list(yaml.safe_load_all(told.stdout))


@pytest.fixture(scope="module", params=["staging", "production"])
def overlay(request: pytest.FixtureRequest) -> list[dict[str, Any]]:
    return made(f"overlays/{request.param}")


@pytest.fixture(scope="module")
def production() -> list[dict[str, Any]]:
    return made("overlays/production")


@pytest.fixture(scope="module")
def release() -> list[dict[str, Any]]:
    return made("release")


@pytest.fixture
def wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Spec]:
    """Our processes, as they are in containers."""
    monkeypatch.setattr(compose, "VOLUMES", Path("/run/el-carril"))
    layout = ComposeLayout("compose", 0)
    monkeypatch.setattr(ComposeLayout, "home", property(lambda _: tmp_path))
    layout.make()
    return [spec for spec in specs(layout) if spec.name not in SIMULATED]


def of(objects: list[dict[str, Any]], kind: str) -> dict[str, dict[str, Any]]:
    return {each["metadata"]["name"]: each for each in objects if each["kind"] == kind}


def pods(objects: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each pod's specification, by whose it is."""
    for each in objects:
        name = f"{each['kind']} {each['metadata']['name']}"
        match each["kind"]:
            case "Deployment" | "Job":
                yield name, each["spec"]["template"]["spec"]
            case "CronJob":
                yield name, each["spec"]["jobTemplate"]["spec"]["template"]["spec"]


def container(pod: Object) -> dict[str, Any]:
    [only] = pod["containers"]
    return dict(only)


def told(deployment: Object) -> dict[str, str]:
    """Settings by name; those that come from a map of the overlay's are its key in angle brackets."""
    return {
        each["name"]: each.get("value") or f"<{each['valueFrom']['configMapKeyRef']['key']}>"
        for each in container(deployment["spec"]["template"]["spec"])["env"]
    }


def test_kubernetes_takes_it(overlay: list[dict[str, Any]], release: list[dict[str, Any]]) -> None:
    for each in (*overlay, *release):
        kubernetes_validate.validate(each, KUBERNETES, strict=True)


def test_every_process_has_the_settings_that_the_supervisor_would_give_it(
    overlay: list[dict[str, Any]], wanted: list[Spec]
) -> None:
    deployments = of(overlay, "Deployment")
    assert set(deployments) == {spec.name for spec in wanted}
    for spec in wanted:
        theirs = settings(spec)
        theirs.pop("MESSENGER_URL", None)  # with a password, so from a file
        theirs |= {name: told_of for name, told_of in PROVIDERS.items() if name in theirs}
        ours = told(deployments[spec.name])
        ours = {name: value for name, value in ours.items() if name not in NOT_TOLD_ELSEWHERE}
        for decoded in (ours, theirs):
            if "HEALTH_URLS" in decoded:
                decoded["HEALTH_URLS"] = json.dumps(json.loads(decoded["HEALTH_URLS"]), sort_keys=True)
        assert ours == theirs, spec.name


def test_every_process_runs_the_program_that_the_supervisor_would_run(
    overlay: list[dict[str, Any]], wanted: list[Spec]
) -> None:
    for spec in wanted:
        module, *arguments = spec.command[spec.command.index("-m") + 1 :]
        ours = container(of(overlay, "Deployment")[spec.name]["spec"]["template"]["spec"])
        assert ours["image"].partition(":")[0] == f"el-carril-{module}", spec.name
        assert ours.get("args", []) == arguments, spec.name


def test_every_process_has_a_door_of_its_name(overlay: list[dict[str, Any]]) -> None:
    doors = of(overlay, "Service")
    assert set(doors) == set(of(overlay, "Deployment"))
    for name, door in doors.items():
        assert door["spec"]["selector"] == {"app": name}
        assert door["spec"]["ports"] == [{"name": "http", "port": 8080, "targetPort": "http"}]


def test_every_map_that_is_named_is_made(overlay: list[dict[str, Any]]) -> None:
    maps = of(overlay, "ConfigMap")
    for name, pod in pods(overlay):
        for each in container(pod)["env"]:
            if reference := each.get("valueFrom", {}).get("configMapKeyRef"):
                assert reference["key"] in maps[reference["name"]]["data"], name
        for source in container(pod).get("envFrom", []):
            assert source["configMapRef"]["name"] in maps, name


def test_pods_are_restricted(overlay: list[dict[str, Any]], release: list[dict[str, Any]]) -> None:
    """Kubernetes' own standard of that name, and no more of the container than its secrets."""
    [namespace] = of(overlay, "Namespace").values()
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    for name, pod in (*pods(overlay), *pods(release)):
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        assert pod["securityContext"]["runAsUser"] == 10001, name
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert pod["automountServiceAccountToken"] is False, name
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod), name
        ours = container(pod)
        assert ours["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }, name
        assert {"cpu", "memory"} == set(ours["resources"]["requests"]), name
        assert "memory" in ours["resources"]["limits"], name
        assert all("secret" in volume for volume in pod.get("volumes", [])), name


def test_no_secret_is_in_the_files_and_each_process_sees_only_its_own(
    overlay: list[dict[str, Any]], release: list[dict[str, Any]]
) -> None:
    assert not of(overlay, "Secret")
    for name, pod in pods(overlay):
        kind, _, own = name.partition(" ")
        mounted = [volume["secret"]["secretName"] for volume in pod["volumes"]]
        assert mounted == [own] if kind == "Deployment" else mounted[0].startswith("ledger-"), name
    for name, pod in pods(release):
        for each in container(pod)["env"]:
            assert set(each["valueFrom"]) == {"secretKeyRef"}, name


def test_the_page_names_every_secret_and_its_files(
    production: list[dict[str, Any]], release: list[dict[str, Any]]
) -> None:
    page = (FOLDER / "README.md").read_text(encoding="utf-8")
    documented = {
        name: set(re.findall(r"`([^`]+)`", keys))
        for name, keys in re.findall(r"^\| `([a-z-]+)` \| ((?:`[^`]+`(?:, )?)+) \|", page, re.MULTILINE)
    }
    needed: dict[str, set[str]] = {}
    for _, pod in (*pods(production), *pods(release)):
        for each in container(pod)["env"]:
            if each.get("value", "").startswith("/run/el-carril/"):
                secret = pod["volumes"][0]["secret"]["secretName"]
                needed.setdefault(secret, set()).add(Path(each["value"]).name)
            elif reference := each.get("valueFrom", {}).get("secretKeyRef"):
                needed.setdefault(reference["name"], set()).add(reference["key"])
    [door] = of(production, "Ingress").values()
    needed[door["spec"]["tls"][0]["secretName"]] = {"tls.crt", "tls.key"}
    assert documented == needed


def test_nobody_is_let_in_but_whoever_calls(overlay: list[dict[str, Any]]) -> None:
    called = {
        (name, urlsplit(url).hostname)
        for name, deployment in of(overlay, "Deployment").items()
        for value in told(deployment).values()
        for url in (json.loads(value).values() if value.startswith('{"') else [value])
        if isinstance(url, str) and url.startswith("http://")
    }
    policies = of(overlay, "NetworkPolicy")
    assert policies["nobody"]["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    let_in = {
        (caller, callee)
        for name, policy in policies.items()
        if name != "everybody"
        for rule in policy["spec"].get("ingress", [])
        for source in rule["from"]
        if "podSelector" in source
        for caller in _chosen(source["podSelector"])
        for callee in _chosen(policy["spec"]["podSelector"])
    }
    assert let_in == called
    for rule in policies["everybody"]["spec"]["ingress"]:
        assert all("podSelector" not in source for source in rule["from"])


def _chosen(selector: Object) -> list[str]:
    if "matchLabels" in selector:
        return [selector["matchLabels"]["app"]]
    [expression] = selector["matchExpressions"]
    assert (expression["key"], expression["operator"]) == ("app", "In")
    return list(expression["values"])


def test_a_second_one_stays_where_nodes_are_emptied(overlay: list[dict[str, Any]]) -> None:
    replicas = {name: each["spec"].get("replicas", 1) for name, each in of(overlay, "Deployment").items()}
    assert {name for name, count in replicas.items() if count > 1} == set(of(overlay, "PodDisruptionBudget"))


def test_images_are_those_that_the_dockerfile_makes(
    overlay: list[dict[str, Any]], release: list[dict[str, Any]]
) -> None:
    members = {f"el-carril-{folder.name}" for folder in (ROOT / "services").iterdir()} | {"el-carril-tools"}
    for name, pod in (*pods(overlay), *pods(release)):
        image, _, tag = container(pod)["image"].partition(":")
        assert image in members, name
        assert tag in ("", "unreleased"), f"{name}: a release names its images"


def test_every_database_is_migrated(release: list[dict[str, Any]]) -> None:
    assert set(of(release, "Job")) == {f"migrate-{service}" for service in SERVICES} | {"declare-topology"}


@pytest.mark.parametrize("service", SERVICES)
async def test_a_release_migrates(release: list[dict[str, Any]], service: str) -> None:
    """The Job's command as it is, on a database that has the newest version already: nothing to do, and no complaint."""
    ours = container(of(release, "Job")[f"migrate-{service}"]["spec"]["template"]["spec"])
    async with fresh_database(service) as database:
        address = f"{database.dsn(f'{service}_migrator')}?sslmode=disable"
        _run(ours["command"], {_only(ours["env"]): address})


def test_a_release_declares_what_the_broker_has(release: list[dict[str, Any]]) -> None:
    ours = container(of(release, "Job")["declare-topology"]["spec"]["template"]["spec"])
    _run(["python", "-m", *ours["args"]], {_only(ours["env"]): stack().rabbitmq.url("topology")})


@pytest.mark.parametrize("name", ["ledger-close", "ledger-rebuild-check", "ledger-verify"])
async def test_the_books_jobs_may_do_what_they_are_for(production: list[dict[str, Any]], name: str) -> None:
    pod = of(production, "CronJob")[name]["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    role = pod["volumes"][0]["secret"]["secretName"].replace("-", "_")
    async with fresh_database("ledger") as database:
        _run(["python", "-m", "ledger", *container(pod)["args"]], {"DATABASE_DSN": database.dsn(role)})


def _only(environment: list[dict[str, Any]]) -> str:
    [setting] = environment
    return str(setting["name"])


def _run(command: list[str], given: Mapping[str, str]) -> None:
    program = Path(sys.executable).with_name(command[0])
    done = subprocess.run(
        [program, *command[1:]], cwd=ROOT, env=os.environ | given, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
