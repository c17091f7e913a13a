"""HTTP as data: routes that read, call and reply; everything else happens around them, once."""

from common.http.app import build_app
from common.http.edge import STEP_UP_WITHIN, StepUpRequired, bearer
from common.http.health import Check
from common.http.openapi import openapi
from common.http.reading import read, read_query
from common.http.replying import Rendered, reply
from common.http.routes import (
    IDEMPOTENCY_KEY,
    PRINCIPAL,
    Auth,
    Authenticate,
    Handler,
    Principal,
    Route,
)
from common.http.serving import run, serve
from common.roles import Role
from common.wire import Body, View

__all__ = [
    "IDEMPOTENCY_KEY",
    "PRINCIPAL",
    "STEP_UP_WITHIN",
    "Auth",
    "Authenticate",
    "Body",
    "Check",
    "Handler",
    "Principal",
    "Rendered",
    "Role",
    "Route",
    "StepUpRequired",
    "View",
    "bearer",
    "build_app",
    "openapi",
    "read",
    "read_query",
    "reply",
    "run",
    "serve",
]
