"""Where packages come from: whatever pip on this machine is told, told to uv too.

uv does not read pip's configuration. A machine that reaches packages through a mirror, a local directory
or a private certificate says so to pip, in files or in the environment; nothing of that belongs into this
repository, so it is translated when set-up runs.
"""

from __future__ import annotations

import ast
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit
from urllib.request import url2pathname

VARIABLE: Final = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "trusted-host": "UV_INSECURE_HOST",
    "cert": "SSL_CERT_FILE",
    "client-cert": "SSL_CLIENT_CERT",
    "timeout": "UV_HTTP_TIMEOUT",
    "default-timeout": "UV_HTTP_TIMEOUT",
    "proxy": "ALL_PROXY",
}
"""pip's option, uv's variable."""


def environment(pip: Path) -> dict[str, str]:
    """The environment for uv: this process's own, with pip's configuration translated into it.

    What the environment already tells uv stays as it is.
    """
    listed = subprocess.run([pip, "config", "list"], check=True, capture_output=True, text=True).stdout
    return translate(effective(listed)) | os.environ


def effective(listed: str) -> dict[str, str]:
    """What `pip install` would use of the lines of `pip config list`.

    `global.x` gives way to `install.x`, which gives way to the environment (`:env:.x`).
    """
    found: dict[tuple[int, str], str] = {}
    for line in listed.splitlines():
        key, equals, quoted = line.partition("=")
        section, dot, option = key.rpartition(".")
        if equals and dot and section in _SECTIONS:
            found[_SECTIONS.index(section), option] = str(ast.literal_eval(quoted))
    return {option: value for (_, option), value in sorted(found.items()) if value}


_SECTIONS: Final = ("global", "install", ":env:")


def translate(options: Mapping[str, str]) -> dict[str, str]:
    """uv's variables for pip's options. Options that uv has no word for are left out."""
    variables = {VARIABLE[option]: value for option, value in options.items() if option in VARIABLE}
    for lists_places in ("UV_INDEX", "UV_FIND_LINKS"):
        places = [place for place in variables.get(lists_places, "").split() if _is_there(place)]
        variables[lists_places] = (" " if lists_places == "UV_INDEX" else ",").join(places)
    if variables["UV_INDEX"]:
        # pip takes the best of all indexes; uv would stop at the first that knows the name at all.
        variables["UV_INDEX_STRATEGY"] = "unsafe-best-match"
    if options.get("no-index", "false").lower() in {"1", "true", "yes", "on"}:
        variables["UV_NO_INDEX"] = "1"
    return {name: value for name, value in variables.items() if value}


def _is_there(place: str) -> bool:
    """Whether a directory named by path or file URL exists: pip only warns of a missing one, uv stops."""
    if place.startswith("file:"):
        return Path(url2pathname(urlsplit(place).path)).exists()
    return "://" in place or Path(place).exists()
