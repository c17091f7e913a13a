"""A route is data: the server, the checks around the handler and the OpenAPI page all read it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from aiohttp import web
from pydantic import BaseModel

from common.badges import Badge
from common.errors import DomainError
from common.roles import Role

Auth = Literal["none", "token", "key"]
"""Who may call: anyone, the bearer of an internal token, or the bearer of an API key."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is asking. `subject` is a user's id or an API key's owner; `session` is None for services.

    `proved_at` is when a person last proved who they are (a password, a one-time code). `proof` is the number of what their
    session stands on: another one once their password, second factor or role is another, or they are gone.
    `badge` is for betting's database.
    """

    subject: str
    role: Role
    session: str | None = None
    proved_at: datetime | None = None
    proof: int | None = None
    badge: Badge | None = None


Authenticate = Callable[[web.Request], Awaitable[Principal]]
"""Finds out who is asking. Raises `Unauthenticated`."""

PRINCIPAL: Final = web.RequestKey("principal", Principal)
IDEMPOTENCY_KEY: Final = web.RequestKey("idempotency_key", str)


@dataclass(frozen=True, slots=True)
class Route:
    """One operation. The handler's docstring is its summary and, after a blank line, its description.

    `role` None admits every authenticated principal. `idempotent` demands an Idempotency-Key header,
    which the handler finds in `request[IDEMPOTENCY_KEY]`. `files` are the content types of an answer that
    is a file. `refusals` are the answers a client must be ready for, beyond those every route can give.
    `step_up` admits only people who proved who they are a short while ago: a session that was stolen or
    left open does not suffice.
    """

    method: str
    path: str
    handler: Handler
    body: type[BaseModel] | None = None
    query: type[BaseModel] | None = None
    returns: type[BaseModel] | None = None
    files: tuple[str, ...] = ()
    status: int = 200
    role: Role | tuple[Role, ...] | None = None
    auth: Auth = "token"
    idempotent: bool = False
    step_up: bool = False
    refusals: tuple[type[DomainError], ...] = ()

    @property
    def roles(self) -> frozenset[Role]:
        """The roles admitted; empty means every one."""
        if self.role is None:
            return frozenset()
        return frozenset((self.role,) if isinstance(self.role, Role) else self.role)
