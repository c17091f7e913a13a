"""Wiring: what identity is made of, and in which order it starts and ends."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from aiohttp import web
from common import pg, redis
from common.auth import TokenVerifier, by_token
from common.client import ServiceClient
from common.http import Check, build_app
from common.rate_limits import RateLimiter
from common.signing import RequestSigner, SigningKey
from redis.asyncio import Redis

from identity.api import ROUTES
from identity.api.parts import (
    ACCESS,
    ACCOUNTS,
    APPROVALS,
    DEVICES,
    KEYRING,
    KYC,
    PASSWORDS,
    PLAY,
    PROFILES,
    STAFF,
)
from identity.derived import MasterKey
from identity.domain.approvals import Act
from identity.ledger import LedgerPolicies
from identity.messengers import messenger
from identity.passwords import Passwords, breached_passwords
from identity.service.access import Access
from identity.service.accounts import Accounts
from identity.service.approvals import Approvals, Effect
from identity.service.desk import Desk
from identity.service.devices import Devices
from identity.service.kyc import Kyc
from identity.service.messages import Codes, Sender
from identity.service.passwords import PasswordDesk
from identity.service.play import Play
from identity.service.profile import Profiles
from identity.service.staff import Staff
from identity.sessions import Sessions
from identity.settings import HashSettings, Settings, StaffSettings
from identity.tokens import Audience, Keyring, TokenSigner, badge_key

LEDGER_TIMEOUT_SECONDS = 2.0
TITLE = "El Carril: identity"
NEWEST_MIGRATION = "20261122141007"

POOL = web.AppKey("pool", pg.Pool)
REDIS = web.AppKey("redis", Redis)


def identity_app(settings: Settings) -> web.Application:
    """The serving process. Raises ValueError or OSError when a key cannot be used."""
    keyring = Keyring(settings.signing_keys_file)
    master = MasterKey.load(settings.master_key_file)
    app = build_app(
        settings,
        ROUTES,
        title=TITLE,
        readiness=(
            Check("database", lambda app: pg.answers(app[POOL])),
            Check("migrations", lambda app: pg.migrated(app[POOL], NEWEST_MIGRATION)),
            Check("sessions", lambda app: redis.answers(app[REDIS])),
        ),
        authenticate={"token": by_token(TokenVerifier(keyring, audience=Audience.IDENTITY))},
    )
    app[KEYRING] = keyring
    app.cleanup_ctx.append(lambda app: _parts(app, settings, keyring, master))
    return app


async def _parts(
    app: web.Application, settings: Settings, keyring: Keyring, master: MasterKey
) -> AsyncIterator[None]:
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
        desk, limiter = Desk(pool), RateLimiter(app[REDIS], prefix="identity:limit")
        codes = Codes(desk, master, limiter, settings.sendings)
        app[ACCOUNTS] = Accounts(desk, passwords)
        app[ACCESS] = Access(
            desk,
            app[ACCOUNTS],
            Sessions(app[REDIS]),
            TokenSigner(keyring, badge_key(settings.badge_key_file), lifetime=settings.token_lifetime),
            master,
            limiter,
            attempts=settings.attempts,
            lifetimes=settings.lifetimes,
        )
        app[DEVICES] = Devices(desk, master)
        app[KYC] = Kyc(desk)
        app[PLAY] = Play(
            desk, LedgerPolicies(await stack.enter_async_context(_ledger(settings))), app[ACCESS]
        )
        await stack.enter_async_context(app[PLAY].running())
        app[PROFILES] = Profiles(desk, codes, app[KYC], app[PLAY], app[ACCESS])
        app[STAFF] = Staff(desk, passwords, codes, app[ACCESS], master)
        app[APPROVALS] = Approvals(desk, app[ACCESS], effects_of(app[STAFF], app[KYC]))
        app[PASSWORDS] = PasswordDesk(desk, passwords, codes, app[ACCESS])
        outside = messenger(settings.messenger_url.get_secret_value(), sender=settings.messages_from)
        await stack.enter_async_context(Sender(desk, master, outside).running())
        yield


def _ledger(settings: Settings) -> ServiceClient:
    return ServiceClient(
        settings.ledger_url,
        timeout_seconds=LEDGER_TIMEOUT_SECONDS,
        headers={"Authorization": f"Bearer {settings.ledger_api_key.get_secret_value()}"},
        signer=RequestSigner(SigningKey.parse(settings.ledger_signing_key.get_secret_value())),
    )


def effects_of(staff: Staff, kyc: Kyc) -> dict[Act, Effect]:
    """What each act does once two people have agreed on it."""
    return {
        Act.APPOINT: staff.appoint,
        Act.CHANGE_ROLE: staff.change_role,
        Act.DISMISS: staff.dismiss,
        Act.SECOND_FACTOR: staff.renew_second_factor,
        Act.APPROVE_KYC: kyc.conclude,
        Act.REJECT_KYC: kyc.conclude,
    }


@asynccontextmanager
async def staff_accounts(settings: StaffSettings) -> AsyncIterator[Accounts]:
    """Accounts for the command line, on a connection of its own."""
    async with AsyncExitStack() as stack:
        dsn = settings.database_dsn.get_secret_value()
        pool = await pg.create_pool(dsn, min_size=1, max_size=1, application_name="identity-staff")
        stack.push_async_callback(pool.close)
        passwords = passwords_at_cost(settings)
        stack.callback(passwords.close)
        yield Accounts(Desk(pool), passwords)


def passwords_at_cost(settings: HashSettings) -> Passwords:
    return Passwords(
        memory_kib=settings.hash_memory_kib,
        passes=settings.hash_passes,
        workers=settings.hash_workers,
        queue=settings.hash_queue,
    )
