"""Set-up: which Python, pip's configuration in uv's words, and locks that name no place."""

import sys
from pathlib import Path

import pytest

from tools.bootstrap import interpreter
from tools.bootstrap.index import effective, translate
from tools.bootstrap.lock import faults

HASH = "    --hash=sha256:" + "0" * 64
ENTRY = f"aiohttp==3.1 \\\n{HASH} \\\n{HASH}\n"


def test_the_more_specific_setting_of_pip_wins() -> None:
    listed = (
        "global.timeout='10'\ninstall.timeout='20'\n:env:.timeout='30'\nglobal.cert='/a'\ninstall.cert='/b'\n"
    )
    assert effective(listed) == {"timeout": "30", "cert": "/b"}


def test_settings_of_other_commands_and_noise_are_left_out() -> None:
    assert effective("download.timeout='10'\nWARNING: something = else\n") == {}


def test_every_place_pip_looks_at_is_told_to_uv(tmp_path: Path) -> None:
    there = tmp_path / "wheels"
    there.mkdir()
    told = translate(
        {
            "index-url": "https://mirror.example/simple",
            "extra-index-url": f"https://second.example/simple file://{there} file://{tmp_path}/gone",
            "find-links": f"{there} {tmp_path}/gone",
            "cert": "/etc/own-authority.crt",
        }
    )
    assert told == {
        "UV_DEFAULT_INDEX": "https://mirror.example/simple",
        "UV_INDEX": f"https://second.example/simple file://{there}",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "UV_FIND_LINKS": str(there),
        "SSL_CERT_FILE": "/etc/own-authority.crt",
    }


def test_a_machine_without_configuration_tells_uv_nothing() -> None:
    assert translate(effective("")) == {}


def test_a_machine_cut_off_from_every_index_keeps_uv_off_them_too() -> None:
    assert translate({"no-index": "true"}) == {"UV_NO_INDEX": "1"}


def test_a_lock_of_versions_and_hashes_is_sound() -> None:
    marked = f"colorama==0.4 ; sys_platform == 'win32' \\\n{HASH}\n"
    assert faults(ENTRY + marked, "lock") == []


@pytest.mark.parametrize(
    "line",
    [
        "--index-url https://mirror.example/simple",
        "--extra-index-url https://mirror.example/simple",
        "--find-links /opt/wheels",
        "-e ./libs/common",
        "./libs/common",
        "/home/someone/libs/common",
        "aiohttp @ https://mirror.example/aiohttp.whl",
        "aiohttp @ file:///home/someone/aiohttp.whl",
        "# via -r /home/someone/requirements.in",
        "    # from https://mirror.example/simple",
        "aiohttp",
        "aiohttp>=3.1",
        "aiohttp==3.1",
        f"aiohttp==3.1 \\\n{HASH[:-1]}",
    ],
)
def test_a_lock_that_names_a_place_or_lacks_a_hash_is_not(line: str) -> None:
    assert faults(f"{ENTRY}{line}\n{ENTRY}", "lock")


@pytest.mark.parametrize(
    ("says", "taken"),
    [
        ("echo '3 11'; echo '3.11.2 (main)'", True),
        ("echo '4 0'; echo '4.0.0 (main)'", True),
        ("echo '3 9'; echo '3.9.2 (main)'", False),
        ("echo '3 11'; echo '3.11.2 (main)'; exit 1", False),
        ("echo nonsense >&2; exit 127", False),
    ],
)
def test_debians_python_is_taken_where_it_is_new_enough(tmp_path: Path, says: str, taken: bool) -> None:
    debian = tmp_path / "python3"
    debian.write_text(f"#!/bin/sh\n{says}\n")
    debian.chmod(0o755)
    python, version = interpreter.chosen(debian)
    assert python == (debian if taken else Path(sys.executable))
    assert version.startswith(("3.11.2 (main)", "4.0.0 (main)") if taken else sys.version[:4])


def test_without_a_python_of_debian_set_up_uses_its_own(tmp_path: Path) -> None:
    assert interpreter.chosen(tmp_path / "gone") == (Path(sys.executable), sys.version)
