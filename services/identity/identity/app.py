"""Wiring: what identity is made of, and in which order it starts and ends."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from aiohttp import web
from common import pg, redis
from common.auth import TokenVerifier, by_token
from common.http import Check, build_app
from redis.asyncio import Redis

from identity.api import ACCESS, ACCOUNTS, PUBLIC_KEY, ROUTES
from identity.passwords import Passwords, breached_passwords
from identity.service import Access, Accounts
from identity.sessions import Sessions
from identity.settings import HashSettings, Settings, StaffSettings
from identity.tokens import Audience, TokenSigner, load_signing_key

TITLE = "El Carril: identity"
NEWEST_MIGRATION = "20261121000400"

POOL = web.AppKey("pool", pg.Pool)
REDIS = web.AppKey("redis", Redis)


def identity_app(settings: Settings) -> web.Application:
    """The serving process. Raises ValueError or OSError when the signing key cannot be used."""
    signer = TokenSigner(
        load_signing_key(settings.signing_key_file), settings.signing_key_id, lifetime=settings.token_lifetime
    )
    public = signer.public_key
    app = build_app(
        settings,
        ROUTES,
        title=TITLE,
        readiness=(
            Check("database", lambda app: pg.answers(app[POOL])),
            Check("migrations", lambda app: pg.migrated(app[POOL], NEWEST_MIGRATION)),
            Check("sessions", lambda app: redis.answers(app[REDIS])),
        ),
        authenticate={
            "token": by_token(TokenVerifier({public.key_id: public.key}, audience=Audience.IDENTITY))
        },
    )
    app[PUBLIC_KEY] = public
    app.cleanup_ctx.append(lambda app: _parts(app, settings, signer))
    return app


async def _parts(app: web.Application, settings: Settings, signer: TokenSigner) -> AsyncIterator[None]:
    breached_passwords()  # read from disk now, not in somebody's request
    async with AsyncExitStack() as stack:
        pool = app[POOL] = await pg.create_pool(
            settings.database_dsn.get_secret_value(), max_size=settings.pool_size, application_name="identity"
        )
        stack.push_async_callback(pool.close)
        app[REDIS] = redis.connect(settings.redis_url.get_secret_value())
        stack.push_async_callback(app[REDIS].aclose)
        passwords = passwords_at_cost(settings)
        stack.callback(passwords.close)
        sessions = Sessions(app[REDIS], idle=settings.session_idle, absolute=settings.session_length)
        app[ACCOUNTS] = Accounts(pool, passwords)
        app[ACCESS] = Access(pool, app[ACCOUNTS], sessions, signer)
        yield


@asynccontextmanager
async def staff_accounts(settings: StaffSettings) -> AsyncIterator[Accounts]:
    """Accounts for the command line, on a connection of its own."""
    async with AsyncExitStack() as stack:
        dsn = settings.database_dsn.get_secret_value()
        pool = await pg.create_pool(dsn, min_size=1, max_size=1, application_name="identity-staff")
        stack.push_async_callback(pool.close)
        passwords = passwords_at_cost(settings)
        stack.callback(passwords.close)
        yield Accounts(pool, passwords)


def passwords_at_cost(settings: HashSettings) -> Passwords:
    return Passwords(
        memory_kib=settings.hash_memory_kib,
        passes=settings.hash_passes,
        workers=settings.hash_workers,
        queue=settings.hash_queue,
    )
