"""A device that signs its money calls: the reference for whoever writes an app. Python's standard library alone.

    python3 examples/device_client.py enrol http://127.0.0.1:21000 SESSION 'My telephone' > device.json
    python3 examples/device_client.py call device.json SESSION POST /v1/offers '{"market_id": …}'

Enrolling gives the device's key, once; keep it in the telephone's key store. A signature (RFC 9421, HMAC-SHA256)
covers the method, the path, the query, the Idempotency-Key and, by its digest, the body. It is good for five
minutes and for one request: to repeat a request, sign it again with the same Idempotency-Key.
"""

import argparse
import base64
import hashlib
import hmac
import json
import secrets
import sys
import time
import urllib.error
import urllib.request
import uuid
from pathlib import Path
from urllib.parse import urlsplit

TIMEOUT_SECONDS = 20.0


def signed(
    method: str, path: str, headers: dict[str, str], body: bytes, *, key_id: str, key: bytes
) -> dict[str, str]:
    """The headers with `Content-Digest`, `Signature-Input` and `Signature` added.

    `path` goes with its query. The signature base is a line for each covered component, in this order, and a
    last one with the parameters (RFC 9421 section 2.5).
    """
    digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
    headers = {**headers, "Content-Digest": f"sha-256=:{digest}:"}
    address = urlsplit(path)
    covered = {
        "@method": method,
        "@path": address.path,
        "@query": f"?{address.query}",
        "content-digest": headers["Content-Digest"],
    }
    if "Idempotency-Key" in headers:
        covered["idempotency-key"] = headers["Idempotency-Key"]
    names = " ".join(f'"{name}"' for name in covered)
    parameters = (
        f'({names});created={int(time.time())};keyid="{key_id}";alg="hmac-sha256"'
        f';nonce="{secrets.token_urlsafe(16)}";tag="el-carril"'
    )
    lines = [f'"{name}": {value}' for name, value in covered.items()]
    base = "\n".join([*lines, f'"@signature-params": {parameters}'])
    signature = base64.b64encode(hmac.digest(key, base.encode(), "sha256")).decode()
    return {**headers, "Signature-Input": f"sig1={parameters}", "Signature": f"sig1=:{signature}:"}


def send(base: str, method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, str]:
    """The status and the body of the answer, whichever it is."""
    request = urllib.request.Request(base + path, data=body or None, headers=headers, method=method)  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310 - the gateway's address
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refusal:
        return refusal.code, refusal.read().decode()


def enrol(gateway: str, session: str, name: str) -> dict[str, str]:
    """A new device: its id, its key, and where it is at home. Exits when it is refused."""
    headers = {
        "Authorization": f"Bearer {session}",
        "Content-Type": "application/json",
        "Idempotency-Key": str(uuid.uuid4()),
    }
    status, told = send(gateway, "POST", "/v1/devices", headers, json.dumps({"name": name}).encode())
    if status != 201:
        sys.exit(told)
    device = json.loads(told)
    return {"gateway": gateway, "id": device["id"], "key": device["key"]}


def call(
    device: dict[str, str], session: str, method: str, path: str, body: bytes, idempotency_key: str
) -> tuple[int, str]:
    """Send a signed request."""
    headers = {"Authorization": f"Bearer {session}", "Idempotency-Key": idempotency_key}
    if body:
        headers["Content-Type"] = "application/json"
    key = base64.b64decode(device["key"])
    headers = signed(method, path, headers, body, key_id=device["id"], key=key)
    return send(device["gateway"], method, path, headers, body)


def main() -> int:
    """The exit status: 1 when the request was refused."""
    parser = argparse.ArgumentParser(description="A device that signs its money calls")
    acts = parser.add_subparsers(dest="act", required=True)
    enrolling = acts.add_parser("enrol", help="get a key; prints the device")
    for name in ("gateway", "session", "name"):
        enrolling.add_argument(name)
    calling = acts.add_parser("call", help="send a signed request; prints the answer")
    calling.add_argument("device", type=Path)
    for name in ("session", "method", "path"):
        calling.add_argument(name)
    calling.add_argument("body", nargs="?", default="")
    calling.add_argument("--idempotency-key", default=str(uuid.uuid4()))
    wanted = parser.parse_args()
    if wanted.act == "enrol":
        print(json.dumps(enrol(wanted.gateway, wanted.session, wanted.name)))
        return 0
    device = json.loads(wanted.device.read_text(encoding="utf-8"))
    status, told = call(
        device, wanted.session, wanted.method, wanted.path, wanted.body.encode(), wanted.idempotency_key
    )
    print(told)
    return 0 if status < 400 else 1


if __name__ == "__main__":
    sys.exit(main())
