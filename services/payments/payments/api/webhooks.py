"""Where the card provider's webhooks come in."""

from typing import Final

from aiohttp import web
from common.http import Route, View, reply

from payments.domain import refusals
from payments.service.webhooks import Door, Signed

DOOR: Final = web.AppKey("door", Door)


class ReceivedView(View):
    """The webhook is kept. What it names is looked at later."""

    new: bool


async def receive_card_webhook(request: web.Request) -> web.Response:
    """Take in a webhook (standardwebhooks.com), with the bytes it came as.

    The signature is the authentication. It is a hint: what it names is fetched before anything changes.
    """
    signed = Signed(
        id=request.headers.get("webhook-id", ""),
        timestamp=request.headers.get("webhook-timestamp", ""),
        signature=request.headers.get("webhook-signature", ""),
    )
    new = await request.app[DOOR].receive(signed, await request.read())
    return reply(ReceivedView(new=new), status=202)


ROUTES: Final = (
    Route("POST", "/v1/webhooks/cards", receive_card_webhook, returns=ReceivedView, status=202, auth="none",
          refusals=(refusals.BadWebhook,)),
)  # fmt: skip
