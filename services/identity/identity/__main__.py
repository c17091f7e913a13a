"""`python -m identity serve | keys create, rotate, create-badge, create-master | staff create, totp`."""

import argparse
import asyncio
import getpass
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from common.errors import DomainError
from common.http import run
from common.roles import Role

from identity.app import identity_app, staff_accounts
from identity.derived import MasterKey, create_master_key
from identity.domain.documents import DocumentKind, HolderDocument
from identity.domain.people import STAFF_ROLES, Applicant, Email, FullName
from identity.settings import Settings, StaffSettings
from identity.tokens import create_badge_key, create_keys, rotate_keys
from identity.totp import provisioning_uri


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the chosen command; the exit status is 1 when it was refused."""
    wanted = _parser().parse_args(arguments)
    try:
        match wanted.command:
            case "keys":
                _keys(wanted)
            case "staff":
                asyncio.run(_create_staff(wanted))
            case _:
                settings = Settings()
                run(identity_app(settings), settings)
    except DomainError as refused:
        print(f"{refused.title}: {refused.detail}", file=sys.stderr)
        return 1
    except FileExistsError as error:
        print(f"{error.filename} exists already: a key is not replaced", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m identity", description="El Carril's identity")
    commands = parser.add_subparsers(dest="command")
    commands.add_parser("serve", help="serve over HTTP (the default)")
    keys = commands.add_parser("keys", help="the keys that sign internal tokens, and the master key")
    acts = keys.add_subparsers(dest="act", required=True)
    for act, told in (
        ("create", "make a file with one signing key"),
        ("create-badge", "make the key of badges, for identity and for betting's database"),
        ("create-master", "make the key that devices' keys, second factors and codes are derived from"),
    ):
        acts.add_parser(act, help=told).add_argument(
            "--out", type=Path, required=True, help="a file that does not exist yet"
        )
    rotate = acts.add_parser("rotate", help="add a signing key; a running identity takes it up by itself")
    rotate.add_argument("--file", type=Path, required=True)
    staff = commands.add_parser(
        "staff", help="people who run the platform; needs DATABASE_DSN, MASTER_KEY_FILE"
    )
    create = staff.add_subparsers(dest="act", required=True).add_parser(
        "create", help="open a staff account and tell its second factor; the same one again changes nothing"
    )
    create.add_argument("--email", required=True)
    create.add_argument("--role", required=True, choices=sorted(STAFF_ROLES))
    create.add_argument("--curp", required=True)
    create.add_argument("--full-name", "--name", required=True)
    create.add_argument(
        "--password-file", type=Path, help="otherwise the password is read from standard input"
    )
    return parser


def _keys(wanted: argparse.Namespace) -> None:
    match wanted.act:
        case "create":
            create_keys(wanted.out, now=datetime.now(UTC))
        case "create-badge":
            create_badge_key(wanted.out, now=datetime.now(UTC))
        case "create-master":
            create_master_key(wanted.out)
        case _:
            print(rotate_keys(wanted.file, now=datetime.now(UTC)))


async def _create_staff(wanted: argparse.Namespace) -> None:
    document = HolderDocument.parse(DocumentKind.CURP, wanted.curp, field="curp")
    applicant = Applicant(document, Email.parse(wanted.email), FullName.parse(wanted.full_name))
    password = _password(wanted.password_file)
    settings = StaffSettings()
    async with staff_accounts(settings) as accounts:
        user, is_new = await accounts.appoint(applicant, Role(wanted.role), password)
    master = MasterKey.load(settings.master_key_file)
    if user.totp_generation:
        print(provisioning_uri(master.totp_secret(user.id, user.totp_generation), user.email.value))
    print(f"{user.id} {user.role} {user.email} {'created' if is_new else 'exists'}")


def _password(file: Path | None) -> str:
    if file is not None:
        return file.read_text(encoding="utf-8").strip()
    if sys.stdin.isatty():
        return getpass.getpass("Password: ")
    return sys.stdin.readline().rstrip("\n")


if __name__ == "__main__":
    sys.exit(main())
