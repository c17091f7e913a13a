"""Identity over HTTP: handlers that read, call and reply, and the routes as data."""

from identity.api import access, accounts, devices

ROUTES = (*accounts.ROUTES, *access.ROUTES, *devices.ROUTES)
