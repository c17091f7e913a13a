"""Settings from the environment and from files."""

from pathlib import Path

import pytest
from common.settings import CacheSettings, DatabaseSettings, ServiceSettings, TokenSettings
from pydantic import SecretStr, ValidationError

DSN = "postgresql://shop@db:5432/shop"


class Everything(CacheSettings, TokenSettings, ServiceSettings, DatabaseSettings):
    """Whatever a process can be told an address of."""


class Settings(ServiceSettings, DatabaseSettings):
    """Settings of the tests; one field is itself a path."""

    signing_key_file: Path = Path("/nowhere")
    api_key: SecretStr = SecretStr("")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOST", "LOG_LEVEL", "DATABASE_DSN", "DATABASE_DSN_FILE", "API_KEY", "API_KEY_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SERVICE", "shop")
    monkeypatch.setenv("PORT", "21000")


def test_the_environment_is_read_without_a_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_DSN", DSN)
    settings = Settings()
    assert (settings.service, settings.port, settings.host) == ("shop", 21000, "127.0.0.1")
    assert settings.database_dsn.get_secret_value() == DSN


def test_a_secret_may_come_from_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    secret = tmp_path / "dsn"
    secret.write_text("postgresql://shop:hunter2@db/shop\n")
    monkeypatch.setenv("DATABASE_DSN_FILE", str(secret))
    settings = Settings()
    assert settings.database_dsn.get_secret_value() == "postgresql://shop:hunter2@db/shop"
    assert "hunter2" not in repr(settings)


def test_a_field_that_is_a_path_is_not_read_as_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_DSN", DSN)
    monkeypatch.setenv("SIGNING_KEY_FILE", "/run/secrets/key")
    assert Settings().signing_key_file == Path("/run/secrets/key")


def test_both_at_once_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DATABASE_DSN", DSN)
    monkeypatch.setenv("DATABASE_DSN_FILE", str(tmp_path / "dsn"))
    with pytest.raises(ValueError, match="DATABASE_DSN and DATABASE_DSN_FILE are both set"):
        Settings()


def test_what_is_missing_or_wrong_is_named_and_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "hunter2")
    with pytest.raises(ValidationError) as wrong:
        Settings()
    assert {error["loc"][0] for error in wrong.value.errors()} == {"port", "database_dsn"}
    assert "hunter2" not in str(wrong.value)


def test_settings_do_not_change(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_DSN", DSN)
    settings = Settings()
    with pytest.raises(ValidationError):
        settings.port = 1  # type: ignore[misc]  # the point of the test


@pytest.mark.parametrize(
    ("name", "nonsense"),
    [
        ("DATABASE_DSN", ""),
        ("DATABASE_DSN", "hunter2"),
        ("DATABASE_DSN", "postgresql:///shop"),
        ("DATABASE_DSN", "mysql://shop:hunter2@db/shop"),
        ("REDIS_URL", "hunter2"),
        ("REDIS_URL", ""),
        ("IDENTITY_URL", "identity:8080"),
        ("IDENTITY_URL", ""),
        ("BODY_TIMEOUT_SECONDS", "inf"),
        ("SHUTDOWN_SECONDS", "nan"),
    ],
)
def test_a_process_does_not_begin_with_nonsense(
    monkeypatch: pytest.MonkeyPatch, name: str, nonsense: str
) -> None:
    """An empty DSN, say, would have the driver look for a server of its own liking."""
    for good, value in (
        ("DATABASE_DSN", DSN),
        ("REDIS_URL", "redis://cache/0"),
        ("IDENTITY_URL", "http://identity"),
    ):
        monkeypatch.setenv(good, value)
    Everything()
    monkeypatch.setenv(name, nonsense)
    with pytest.raises(ValidationError) as wrong:
        Everything()
    assert [error["loc"][0] for error in wrong.value.errors()] == [name.lower()]
    assert "hunter2" not in str(wrong.value)
