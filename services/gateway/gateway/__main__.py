"""`python -m gateway`."""

from common.http import run

from gateway.app import gateway_app
from gateway.settings import Settings


def main() -> None:
    """Serve until told to stop."""
    settings = Settings()
    run(gateway_app(settings), settings)


if __name__ == "__main__":
    main()
