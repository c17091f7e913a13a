"""The port through which messages leave: printed in development, by SMTP elsewhere.

`MESSENGER_URL` chooses: `print:` (standard output), `file:///path` (JSON lines), `smtp://user:password@host:587`,
`smtps://…`. Nothing is logged of a message that leaves by SMTP.
"""

import asyncio
import json
import sys
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import unquote, urlsplit

from aiosmtplib import SMTPException
from aiosmtplib import send as send_by_smtp

from identity.domain.codes import MessageKind

SMTP_TIMEOUT_SECONDS: Final = 10.0
SMTP_PORT: Final = 587
SMTPS_PORT: Final = 465

TEXTS: Final = {
    MessageKind.EMAIL_CODE: ("Confirma tu correo", "Tu código de El Carril es {code}. Vale 30 minutos."),
    MessageKind.RESET_CODE: (
        "Cambia tu contraseña",
        "Tu código para cambiar la contraseña es {code}. Vale 15 minutos. Si no lo pediste, no hagas nada.",
    ),
    MessageKind.ACTIVATION_CODE: (
        "Activa tu cuenta de trabajo",
        "Tu código de activación es {code}. Vale tres días.",
    ),
    MessageKind.EMAIL_CHANGED: (
        "Tu correo cambió",
        "El correo de tu cuenta ya no es este. Si no fuiste tú, escríbenos de inmediato.",
    ),
    MessageKind.PASSWORD_CHANGED: (
        "Tu contraseña cambió",
        "Cambió la contraseña de tu cuenta y se cerraron tus sesiones. Si no fuiste tú, escríbenos de inmediato.",
    ),
    MessageKind.ACCOUNT_CLOSED: (
        "Cerraste tu cuenta",
        "Tu cuenta quedó cerrada. Puedes retirar lo que es tuyo.",
    ),
}


class NotSent(Exception):
    """The message did not leave; later it may."""


@dataclass(frozen=True, slots=True)
class Letter:
    """A message as somebody will read it."""

    recipient: str
    kind: MessageKind
    subject: str
    text: str


def letter(recipient: str, kind: MessageKind, code: str) -> Letter:
    """The words of a message; `code` is empty for one that carries none."""
    subject, text = TEXTS[kind]
    return Letter(recipient, kind, subject, text.format(code=code))


class Messenger(Protocol):
    """Brings letters to people."""

    async def send(self, message: Letter) -> None:
        """Raises NotSent."""


class Printer:
    """For development: what would be sent is printed, or added to a file."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path

    async def send(self, message: Letter) -> None:
        """Raises NotSent when the file cannot be written."""
        line = json.dumps(
            {"to": message.recipient, "kind": message.kind, "subject": message.subject, "text": message.text},
            ensure_ascii=False,
        )
        try:
            await asyncio.to_thread(self._write, line + "\n")
        except OSError as error:
            raise NotSent from error

    def _write(self, line: str) -> None:
        if self._path is None:
            sys.stdout.write(line)
            return
        with self._path.open("a", encoding="utf-8") as file:
            file.write(line)


class Smtp:
    """By a mail server that takes submissions."""

    def __init__(self, url: str, *, sender: str) -> None:
        parts = urlsplit(url)
        self._host = parts.hostname or ""
        self._is_tls = parts.scheme == "smtps"
        self._port = parts.port or (SMTPS_PORT if self._is_tls else SMTP_PORT)
        self._username = unquote(parts.username) if parts.username else None
        self._password = unquote(parts.password) if parts.password else None
        self._sender = sender

    async def send(self, message: Letter) -> None:
        """Raises NotSent."""
        mail = EmailMessage()
        try:
            mail["From"], mail["To"], mail["Subject"] = self._sender, message.recipient, message.subject
            mail.set_content(message.text)
            await send_by_smtp(
                mail,
                recipients=[message.recipient],
                hostname=self._host,
                port=self._port,
                username=self._username,
                password=self._password,
                use_tls=self._is_tls,
                timeout=SMTP_TIMEOUT_SECONDS,
            )
        except (SMTPException, OSError, ValueError) as error:  # a recipient that no mail can be written to
            raise NotSent from error


def messenger(url: str, *, sender: str) -> Messenger:
    """The messenger that a URL names. Raises ValueError."""
    match urlsplit(url).scheme:
        case "print":
            return Printer()
        case "file":
            return Printer(Path(urlsplit(url).path))
        case "smtp" | "smtps":
            return Smtp(url, sender=sender)
        case scheme:
            raise ValueError(f"no messenger for {scheme}:")
