"""Identity over HTTP: handlers that read, call and reply, and the routes as data."""

from identity.api import access, accounts, approvals, devices, kyc, passwords, play, profile, staff

ROUTES = (*accounts.ROUTES, *access.ROUTES, *passwords.ROUTES, *profile.ROUTES, *devices.ROUTES, *kyc.ROUTES, *play.ROUTES,
          *staff.ROUTES, *approvals.ROUTES)  # fmt: skip
