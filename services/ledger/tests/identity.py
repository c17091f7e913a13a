"""Identity as the ledger meets it: a page with its public key, and tokens signed with the private one."""

from __future__ import annotations

import time
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import jwt
from aiohttp import web
from aiohttp.test_utils import TestServer
from common.roles import Role
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


class TokenMaker:
    """Signs tokens for the ledger."""

    def __init__(self) -> None:
        self._key = Ed25519PrivateKey.generate()
        self.url = ""

    async def jwks(self, _: web.Request) -> web.Response:
        x = urlsafe_b64encode(self._key.public_key().public_bytes_raw()).rstrip(b"=").decode()
        return web.json_response({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "test", "x": x}]})

    def token(self, user: str, role: Role = Role.BETTOR) -> str:
        now = int(time.time())
        claims = {"iss": "identity", "aud": "ledger", "sub": user, "role": role, "iat": now, "exp": now + 60}
        return jwt.encode(claims, self._key, algorithm="EdDSA", headers={"kid": "test", "typ": "at+jwt"})


@asynccontextmanager
async def token_maker() -> AsyncIterator[TokenMaker]:
    maker = TokenMaker()
    app = web.Application()
    app.router.add_get("/.well-known/jwks.json", maker.jwks)
    async with TestServer(app) as server:
        maker.url = str(server.make_url("")).rstrip("/")
        yield maker
