"""`python -m tools.docs [--check | --release]`: the documents that are made from code, under `docs/`.

OpenAPI comes from each service's ROUTES, AsyncAPI from the contracts, the broker's picture from its topology;
no service needs to run. With `--check` nothing is written and a document that is not what the code says fails.
With `--release` messages that are not published yet become so: their schemas go to `docs/contracts`, and from then on
only fields may be added to them.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import betting.api
import identity.api
import ledger.api
import ledger.receipts_api
import payments.api
from common.http import Route, openapi
from contracts import asyncapi
from gateway.api import OWN_ROUTES
from gateway.documents import DOCUMENT
from gateway.domain import Service
from gateway.openapi import public_document
from gateway.routes import ROUTES as PUBLIC_ROUTES

from tools import authorization, contracts, events_page, metrics_page, rules_page

DOCS: Final = Path(__file__).resolve().parents[1] / "docs"
VERSION: Final = "1.0"

SERVICES: Final[Mapping[str, Sequence[Route]]] = {
    "identity": identity.api.ROUTES,
    "betting": betting.api.ROUTES,
    "payments": payments.api.ROUTES,
    "ledger": ledger.api.ROUTES,
    "ledger-receipts": ledger.receipts_api.ROUTES,
}
"""What each process serves by itself; the gateway's document is cut out of these."""


def main() -> int:
    """The exit status: 1 when a document is not what the code says, or a published message would break."""
    parser = argparse.ArgumentParser(prog="python -m tools.docs")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--check", action="store_true", help="only tell which documents are not fresh")
    which.add_argument("--release", action="store_true", help="publish the messages that are new")
    chosen = parser.parse_args()
    if broken := contracts.broken():
        print("\n".join(broken), file=sys.stderr)
        return 1
    wanted = documents(release=chosen.release)
    stale = [
        path for path, text in wanted.items() if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    stray = [path for path in (DOCS / "openapi").glob("*.json") if path not in wanted]
    if chosen.check:
        for path in (*stale, *stray):
            print(f"{path.relative_to(DOCS.parent)} is not what the code says (run: make docs)")
        return 1 if stale or stray else 0
    for path in stray:
        path.unlink()
    for path in stale:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(wanted[path], encoding="utf-8")
        print(f"wrote {path.relative_to(DOCS.parent)}")
    return 0


def documents(*, release: bool = False) -> dict[Path, str]:
    """Every generated document with its text; with `release`, as it is once everything is published."""
    schemas = contracts.documents(release=release)
    apis = {name: openapi(routes, _title(name), VERSION) for name, routes in SERVICES.items()}
    public = public_document(
        PUBLIC_ROUTES,
        {service: DOCUMENT.validate_python(apis[service.value]) for service in Service},
        own=DOCUMENT.validate_python(openapi(OWN_ROUTES, "El Carril", VERSION)),
    )
    return {
        DOCS / "openapi" / "gateway.json": _json(public),
        **{DOCS / "openapi" / f"{name}.json": _json(api) for name, api in apis.items()},
        DOCS / "authorization.md": authorization.page(PUBLIC_ROUTES, SERVICES),
        DOCS / "asyncapi.json": _json(asyncapi.document()),
        DOCS / "broker.md": events_page.broker(),
        DOCS / "events.md": events_page.events({path.stem for path in schemas}),
        **schemas,
        DOCS / "rules.md": rules_page.page(),
        DOCS / "metrics.md": metrics_page.page(),
    }


def _title(process: str) -> str:
    return f"El Carril: {process.replace('-', ' ')}"


def _json(document: object) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.exit(main())
