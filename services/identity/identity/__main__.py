"""`python -m identity serve | keys create | staff create`."""

import argparse
import asyncio
import getpass
import sys
from collections.abc import Sequence
from pathlib import Path

from common.errors import DomainError
from common.http import run
from common.roles import Role

from identity.app import identity_app, staff_accounts
from identity.domain import STAFF_ROLES, Applicant, Curp, Email, FullName
from identity.settings import Settings, StaffSettings
from identity.tokens import create_signing_key


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the chosen command; the exit status is 1 when it was refused."""
    wanted = _parser().parse_args(arguments)
    try:
        match wanted.command:
            case "keys":
                create_signing_key(wanted.out)
            case "staff":
                asyncio.run(_create_staff(wanted))
            case _:
                settings = Settings()
                run(identity_app(settings), settings)
    except DomainError as refused:
        print(f"{refused.title}: {refused.detail}", file=sys.stderr)
        return 1
    except FileExistsError as error:
        print(f"{error.filename} exists already: a signing key is not replaced", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m identity", description="El Carril's identity")
    commands = parser.add_subparsers(dest="command")
    commands.add_parser("serve", help="serve over HTTP (the default)")
    keys = commands.add_parser("keys", help="the key that signs internal tokens")
    create_key = keys.add_subparsers(dest="act", required=True).add_parser("create", help="make one")
    create_key.add_argument("--out", type=Path, required=True, help="a file that does not exist yet")
    staff = commands.add_parser("staff", help="people who run the platform; needs DATABASE_DSN")
    create = staff.add_subparsers(dest="act", required=True).add_parser(
        "create", help="open a staff account; the same one again changes nothing"
    )
    create.add_argument("--email", required=True)
    create.add_argument("--role", required=True, choices=sorted(STAFF_ROLES))
    create.add_argument("--curp", required=True)
    create.add_argument("--full-name", "--name", required=True)
    create.add_argument(
        "--password-file", type=Path, help="otherwise the password is read from standard input"
    )
    return parser


async def _create_staff(wanted: argparse.Namespace) -> None:
    applicant = Applicant(
        Curp.parse(wanted.curp), Email.parse(wanted.email), FullName.parse(wanted.full_name)
    )
    password = _password(wanted.password_file)
    async with staff_accounts(StaffSettings()) as accounts:
        user, is_new = await accounts.appoint(applicant, Role(wanted.role), password)
    print(f"{user.id} {user.role} {user.email} {'created' if is_new else 'exists'}")


def _password(file: Path | None) -> str:
    if file is not None:
        return file.read_text(encoding="utf-8").strip()
    if sys.stdin.isatty():
        return getpass.getpass("Password: ")
    return sys.stdin.readline().rstrip("\n")


if __name__ == "__main__":
    sys.exit(main())
