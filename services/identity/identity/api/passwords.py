"""Passwords: changed by who knows the old one, set anew by who has forgotten it."""

from aiohttp import web
from common.http import Body, Route, read, reply

from identity.api.access import SECOND_FACTOR, TOO_MANY_GUESSES, SessionView
from identity.api.parts import NO_STORE, PASSWORDS, OneTimeCode, Secret, ShortText, caller, session_of
from identity.domain.codes import WrongCode
from identity.domain.passwords import WeakPassword
from identity.domain.people import SessionEnded
from identity.passwords import HashingBusy
from identity.sessions import SessionsUnavailable


class ChangePasswordRequest(Body):
    password: Secret


class ForgotPasswordRequest(Body):
    email: ShortText


class ResetPasswordRequest(Body):
    """`code` came by message; `second_factor` is that of the authenticator, which staff have."""

    email: ShortText
    code: OneTimeCode
    password: Secret
    second_factor: OneTimeCode | None = None


async def change_password(request: web.Request) -> web.Response:
    """Set another password.

    All other sessions end, and this one goes on under a new secret.
    """
    wanted = await read(request, ChangePasswordRequest)
    renewed = await request.app[PASSWORDS].change(
        caller(request), session_of(request), wanted.password.get_secret_value()
    )
    return reply(SessionView.of(renewed), headers=NO_STORE)


async def forgot_password(request: web.Request) -> web.Response:
    """Ask for a code to set a password with.

    The answer is the same whether somebody has this address or not.
    """
    wanted = await read(request, ForgotPasswordRequest)
    await request.app[PASSWORDS].forgot(wanted.email)
    return reply(None, status=202)


async def reset_password(request: web.Request) -> web.Response:
    """Set a password with a code. Every session ends."""
    wanted = await read(request, ResetPasswordRequest)
    second_factor = None if wanted.second_factor is None else wanted.second_factor.get_secret_value()
    await request.app[PASSWORDS].reset(
        wanted.email, wanted.code.get_secret_value(), wanted.password.get_secret_value(), second_factor
    )
    return reply(None)


ROUTES = (
    Route("POST", "/v1/password", change_password, body=ChangePasswordRequest, returns=SessionView, step_up=True,
          refusals=(WeakPassword, HashingBusy, SessionEnded, SessionsUnavailable)),
    Route("POST", "/v1/password/forgot", forgot_password, body=ForgotPasswordRequest, status=202, auth="none",
          refusals=TOO_MANY_GUESSES),
    Route("POST", "/v1/password/reset", reset_password, body=ResetPasswordRequest, status=204, auth="none",
          refusals=(WrongCode, WeakPassword, HashingBusy, SessionsUnavailable, *SECOND_FACTOR,
                    *TOO_MANY_GUESSES)),
)  # fmt: skip
