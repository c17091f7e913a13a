"""Where handlers find the use cases, and what they ask of a request."""

from uuid import UUID

from aiohttp import web
from common.errors import Forbidden, Invalid
from common.http import IDEMPOTENCY_KEY, PRINCIPAL
from common.idempotency import KeyInFlight, KeyReused, fingerprint
from pydantic import BaseModel

from betting.domain.ids import UserId
from betting.service.calls import Call
from betting.service.gates import Gates
from betting.service.officiating import Officiating
from betting.service.placing import Placing
from betting.service.programme import Programme
from betting.service.reading import Reading
from betting.service.registry import Registry
from betting.service.restarting import Restarting
from betting.service.suspending import Suspending
from betting.service.trading import Trading
from betting.service.withholding import Withholding

PROGRAMME = web.AppKey("programme", Programme)
REGISTRY = web.AppKey("registry", Registry)
GATES = web.AppKey("gates", Gates)
PLACING = web.AppKey("placing", Placing)
TRADING = web.AppKey("trading", Trading)
OFFICIATING = web.AppKey("officiating", Officiating)
RESTARTING = web.AppKey("restarting", Restarting)
SUSPENDING = web.AppKey("suspending", Suspending)
WITHHOLDING = web.AppKey("withholding", Withholding)
READING = web.AppKey("reading", Reading)

ONCE = (KeyReused, KeyInFlight)


def call_of(request: web.Request, body: BaseModel | None = None) -> Call:
    operation = f"{request.method} {request.path}"
    badge = request[PRINCIPAL].badge
    return Call(user_of(request), request[IDEMPOTENCY_KEY], fingerprint(operation, body), badge)


def user_of(request: web.Request) -> UserId:
    """Raises Forbidden for a service."""
    try:
        return UserId(UUID(request[PRINCIPAL].subject))
    except ValueError:
        raise Forbidden("only people may do this") from None


def id_of(request: web.Request, name: str = "id") -> UUID:
    """Raises Invalid."""
    try:
        return UUID(request.match_info[name])
    except ValueError:
        raise Invalid("an id is a UUID", field=name) from None
