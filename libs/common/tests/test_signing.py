"""Signed requests over a real socket and a real Redis: what is covered, when it holds, and that it holds once."""

import hashlib
import hmac
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import BaseTestServer, TestServer
from common import redis
from common.client import RemoteProblem, ServiceClient
from common.http.reading import BODY_TIMEOUT_SECONDS
from common.problem import problem_middleware
from common.signing import WINDOW, RequestSigner, SignatureVerifier, SigningKey
from common.testing import stack
from common.wire import View
from redis.asyncio import Redis
from yarl import URL

Call = Callable[[web.Request], None]
PATH = "/v1/entries?after=7&name=a%2Fb"
BODY = b'{"amount":"1.50"}'
HEADERS = {"Idempotency-Key": "k-1", "Content-Type": "application/json"}
DEAD_REDIS = "redis://127.0.0.1:1/0"


class Seen(View):
    """What the handler saw."""

    body: str


@pytest.fixture
def key() -> SigningKey:
    return SigningKey(str(uuid4()), hashlib.sha256(uuid4().bytes).digest())


@asynccontextmanager
async def signed_server(
    key: SigningKey, store: Redis, *, clock_ahead: timedelta
) -> AsyncIterator[BaseTestServer]:
    verifier = SignatureVerifier(store, audience="test", now=lambda: datetime.now(UTC) + clock_ahead)

    async def handle(request: web.Request) -> web.Response:
        await verifier.verify(request, key)
        return web.json_response({"body": (await request.read()).decode()})

    app = web.Application(middlewares=[problem_middleware])
    app[BODY_TIMEOUT_SECONDS] = 5.0
    app.router.add_route("*", "/{any:.*}", handle)
    async with TestServer(app) as server:
        yield server


@pytest.fixture
async def store() -> AsyncIterator[Redis]:
    opened = redis.connect(stack().redis_url)
    yield opened
    await opened.aclose()


@pytest.fixture
async def server(key: SigningKey, store: Redis) -> AsyncIterator[BaseTestServer]:
    async with signed_server(key, store, clock_ahead=timedelta()) as running:
        yield running


async def send(
    server: BaseTestServer, method: str, path: str, headers: dict[str, str], body: bytes = b""
) -> tuple[int, str]:
    """The status and, for a refusal, the last part of its type."""
    url = URL(f"{str(server.make_url('')).rstrip('/')}{path}", encoded=True)
    async with ClientSession() as http, http.request(method, url, headers=headers, data=body or None) as got:
        told = await got.json(content_type=None)
        return got.status, str(told.get("type", "")).removeprefix("/problems/")


def sign(
    key: SigningKey, *, method: str = "POST", path: str = PATH, body: bytes = BODY, **headers: str
) -> dict[str, str]:
    url = URL(f"http://anywhere{path}", encoded=True)
    return RequestSigner(key).headers(method, url, HEADERS | headers, body)


async def test_a_signed_request_passes_and_its_body_can_still_be_read(
    key: SigningKey, server: BaseTestServer
) -> None:
    signer = RequestSigner(key)
    async with ServiceClient(str(server.make_url("/")), signer=signer) as client:
        seen = (await client.send("POST", "/v1/x", body=BODY, idempotency_key="é ".encode().hex())).read(Seen)
        assert seen.body == BODY.decode()
        assert await client.get("/v1/x", Seen, params={"name": "a/b c&d=é", "after": "7"}) == Seen(body="")
        assert await client.get("/v1/%2Fslashed/ñ", Seen) == Seen(body="")


async def test_one_made_by_hand_from_the_rfc_passes(key: SigningKey, server: BaseTestServer) -> None:
    """What an app in another language does: the signature base of RFC 9421 §2.5, signed as in §3.3.3."""
    digest = f"sha-256=:{b64encode(hashlib.sha256(BODY).digest()).decode()}:"
    covered = '("@method" "@path" "@query" "content-digest" "idempotency-key")'
    parameters = f'{covered};created={int(datetime.now(UTC).timestamp())};keyid="{key.id}";nonce="{uuid4().hex}";tag="el-carril"'
    base = "\n".join(
        (
            '"@method": POST',
            '"@path": /v1/entries',
            '"@query": ?after=7&name=a%2Fb',
            f'"content-digest": {digest}',
            '"idempotency-key": k-1',
            f'"@signature-params": {parameters}',
        )
    )
    mac = b64encode(hmac.digest(key.secret, base.encode(), "sha256")).decode()
    by_hand = {
        "Content-Digest": digest,
        "Signature-Input": f"mine={parameters}",
        "Signature": f"mine=:{mac}:",
    }
    assert (await send(server, "POST", PATH, HEADERS | by_hand, BODY))[0] == 200


async def test_unsigned_is_refused(server: BaseTestServer) -> None:
    assert await send(server, "POST", PATH, HEADERS, BODY) == (401, "signature-missing")


@pytest.mark.parametrize(
    ("method", "path", "body", "headers"),
    [
        ("PUT", PATH, BODY, {}),
        ("POST", PATH.replace("entries", "holds"), BODY, {}),
        ("POST", PATH.replace("7", "8"), BODY, {}),
        ("POST", PATH.replace("%2F", "/"), BODY, {}),
        ("POST", PATH, BODY.replace(b"1", b"9"), {}),
        ("POST", PATH, b"", {}),
        ("POST", PATH, BODY, {"Idempotency-Key": "k-2"}),
        ("POST", PATH, BODY, {"Signature": f"sig1=:{b64encode(bytes(32)).decode()}:"}),
        ("POST", PATH, BODY, {"Signature": "sig1=nonsense"}),
        ("POST", PATH, BODY, {"Signature-Input": "nonsense ("}),
        ("POST", PATH, BODY, {"Content-Digest": f"sha-256=:{b64encode(hashlib.sha256(b'').digest()).decode()}:"}),
    ],
    ids=("method", "path", "query", "escape", "body", "no-body", "idempotency-key", "mac", "mac-form", "input-form", "digest"),
)  # fmt: skip
async def test_nothing_covered_can_be_changed(
    key: SigningKey, server: BaseTestServer, method: str, path: str, body: bytes, headers: dict[str, str]
) -> None:
    assert await send(server, method, path, sign(key) | headers, body) == (401, "signature-invalid")
    assert await send(server, "POST", PATH, sign(key), BODY) == (200, "")


async def test_a_body_cannot_be_added(key: SigningKey, server: BaseTestServer) -> None:
    """A request signed without a digest, as an app may do for a GET, is not signed with a body."""
    bare = sign(key, body=b"")
    del bare["Content-Digest"]
    assert await send(server, "POST", PATH, bare, BODY) == (401, "signature-invalid")


@pytest.mark.parametrize(
    "part", ['"@method" ', '"@path" ', '"@query" ', '"idempotency-key" ', ";nonce", ";tag", ";created"]
)
async def test_covering_too_little_is_refused(key: SigningKey, server: BaseTestServer, part: str) -> None:
    """Signed correctly, by the right key, but over less than we ask for."""
    digest = f"sha-256=:{b64encode(hashlib.sha256(BODY).digest()).decode()}:"
    values = {
        '"@method"': "POST", '"@path"': "/v1/entries", '"@query"': "?after=7&name=a%2Fb",
        '"idempotency-key"': "k-1", '"content-digest"': digest,
    }  # fmt: skip
    covered = [name for name in values if name != part.strip()]
    marks = {
        ";created": int(datetime.now(UTC).timestamp()),
        ";keyid": f'"{key.id}"',
        ";nonce": f'"{uuid4().hex}"',
        ";tag": '"el-carril"',
    }
    parameters = f"({' '.join(covered)})" + "".join(
        f"{name}={mark}" for name, mark in marks.items() if name != part
    )
    base = "\n".join([*(f"{name}: {values[name]}" for name in covered), f'"@signature-params": {parameters}'])
    mac = b64encode(hmac.digest(key.secret, base.encode(), "sha256")).decode()
    headers = HEADERS | {
        "Content-Digest": digest,
        "Signature-Input": f"s={parameters}",
        "Signature": f"s=:{mac}:",
    }
    assert await send(server, "POST", PATH, headers, BODY) == (401, "signature-invalid")


async def test_another_key_is_refused(key: SigningKey, server: BaseTestServer) -> None:
    stranger = SigningKey(str(uuid4()), b64decode(b64encode(bytes(range(32)))))
    impostor = SigningKey(key.id, stranger.secret)
    for wrong in (stranger, impostor):
        assert await send(server, "POST", PATH, sign(wrong), BODY) == (401, "signature-invalid")


async def test_once(key: SigningKey, server: BaseTestServer) -> None:
    signed = sign(key)
    assert (await send(server, "POST", PATH, signed, BODY))[0] == 200
    assert await send(server, "POST", PATH, signed, BODY) == (401, "signature-replayed")


async def test_a_signature_that_fails_spends_no_nonce(key: SigningKey, server: BaseTestServer) -> None:
    signed = sign(key)
    assert (await send(server, "POST", PATH, signed, b"{}"))[0] == 401
    assert (await send(server, "POST", PATH, signed, BODY))[0] == 200


@pytest.mark.parametrize(("seconds", "status"), [(-310, 401), (-290, 200), (290, 200), (310, 401)])
async def test_the_window(key: SigningKey, store: Redis, seconds: int, status: int) -> None:
    assert timedelta(seconds=300) == WINDOW
    async with signed_server(key, store, clock_ahead=timedelta(seconds=seconds)) as server:
        slug = "" if status == 200 else "signature-expired"
        assert await send(server, "POST", PATH, sign(key), BODY) == (status, slug)


async def test_a_nonce_is_remembered_as_long_as_its_signature_can_hold(
    key: SigningKey, server: BaseTestServer, store: Redis
) -> None:
    await send(server, "POST", PATH, sign(key), BODY)
    (name,) = [found async for found in store.scan_iter(match=f"signing:nonce:test:{key.id}:*")]
    assert await store.ttl(name) >= 2 * WINDOW.total_seconds() - 5


async def test_without_the_store_only_what_may_be_repeated_passes(key: SigningKey) -> None:
    async with signed_server(key, redis.connect(DEAD_REDIS), clock_ahead=timedelta()) as server:
        assert (await send(server, "POST", PATH, sign(key), BODY))[0] == 200
        assert (await send(server, "GET", PATH, sign(key, method="GET", body=b"")))[0] == 200
        url = URL(f"http://anywhere{PATH}", encoded=True)
        unkeyed = RequestSigner(key).headers("POST", url, {}, BODY)
        assert await send(server, "POST", PATH, unkeyed, BODY) == (503, "signature-store-unavailable")


async def test_every_attempt_has_a_nonce_of_its_own(key: SigningKey, store: Redis) -> None:
    """A repeat must not look like a replay."""
    verifier = SignatureVerifier(store, audience="test")
    answers = [503, 200]

    async def handle(request: web.Request) -> web.Response:
        await verifier.verify(request, key)
        return web.json_response({"body": ""}, status=answers.pop(0))

    app = web.Application(middlewares=[problem_middleware])
    app[BODY_TIMEOUT_SECONDS] = 5.0
    app.router.add_post("/", handle)
    async with (
        TestServer(app) as server,
        ServiceClient(str(server.make_url("")), signer=RequestSigner(key)) as client,
    ):
        await client.send("POST", "/", body=BODY, idempotency_key="k")
    assert not answers


async def test_the_refusal_reaches_the_caller_by_name(server: BaseTestServer) -> None:
    async with ServiceClient(str(server.make_url("")).rstrip("/")) as client:
        with pytest.raises(RemoteProblem) as refused:
            await client.get("/v1/x", Seen)
    assert (refused.value.status, refused.value.slug) == (401, "signature-missing")


def test_a_key_is_written_and_read_and_keeps_its_secret(key: SigningKey) -> None:
    assert SigningKey.parse(f" {key.written()}\n") == key
    assert b64encode(key.secret).decode() not in repr(key)
    for wrong in ("", "id", "id:", "id:not base64", f"id:{b64encode(b'short').decode()}"):
        with pytest.raises(ValueError, match="signing"):
            SigningKey.parse(wrong)
