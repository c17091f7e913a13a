"""Identity over HTTP: handlers that read, call and reply, and the routes as data."""

from identity.api import access, accounts, devices, passwords, profile

ROUTES = (*accounts.ROUTES, *access.ROUTES, *passwords.ROUTES, *profile.ROUTES, *devices.ROUTES)
