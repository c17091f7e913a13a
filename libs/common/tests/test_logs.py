"""Logs are JSON lines that carry their request and no secret."""

import io
import json
import logging
from collections.abc import Callable, Iterator

import pytest
from common.telemetry.context import REQUEST_ID
from common.telemetry.logs import REDACTED, JsonLines, redact
from common.telemetry.traces import continued

Lines = Callable[[], list[dict[str, object]]]
JWT = "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJhbmEifQ.c2lnbmF0dXJl"


@pytest.fixture
def log() -> Iterator[tuple[logging.Logger, Lines]]:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines("shop"))
    logger = logging.getLogger("tests.logs")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    yield logger, lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    logger.removeHandler(handler)


def test_a_record_is_one_line_with_its_extras(log: tuple[logging.Logger, Lines]) -> None:
    logger, lines = log
    logger.info("placed %d\norders", 3, extra={"market": "m1", "count": 3, "nothing": None})
    (line,) = lines()
    assert line["message"] == "placed 3\norders"
    assert (line["level"], line["service"], line["logger"]) == ("INFO", "shop", "tests.logs")
    assert (line["market"], line["count"]) == ("m1", 3)
    assert "nothing" not in line
    assert str(line["time"]).endswith("+00:00")


def test_a_record_names_its_request_and_its_trace(log: tuple[logging.Logger, Lines]) -> None:
    logger, lines = log
    token = REQUEST_ID.set("abc")
    with continued({"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}):
        logger.info("inside")
    REQUEST_ID.reset(token)
    logger.info("outside")
    inside, outside = lines()
    assert (inside["request_id"], inside["trace_id"], inside["span_id"]) == (
        "abc",
        "0af7651916cd43dd8448eb211c80319c",
        "b7ad6b7169203331",
    )
    assert not {"request_id", "trace_id", "span_id"} & outside.keys()


@pytest.mark.parametrize(
    "name",
    [
        "password",
        "Authorization",
        "api_key",
        "apiKey",
        "session",
        "sessionToken",
        "database_dsn",
        "signature",
        "cookie",
    ],
)
def test_a_value_that_is_called_a_secret_is_not_written(log: tuple[logging.Logger, Lines], name: str) -> None:
    logger, lines = log
    logger.info("x", extra={name: "hunter2", "nested": {name: "hunter2", "list": [{name: "hunter2"}]}})
    (line,) = lines()
    assert line[name] == REDACTED
    assert "hunter2" not in json.dumps(line)


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://ledger:hunter2@localhost/ledger",
        "Authorization: Bearer hunter2",
        "key lk_live_hunter2 used",
        f"token {JWT} refused",
        "curp HEGG560427MVZRRL04 taken",
    ],
)
def test_a_text_that_looks_like_a_secret_is_not_written(log: tuple[logging.Logger, Lines], text: str) -> None:
    logger, lines = log
    logger.info(text)
    logger.info("%s", text, extra={"told": [text], "error": ValueError(text)})
    try:
        raise ValueError(text)
    except ValueError:
        logger.exception("failed")
    written = json.dumps(lines())
    for secret in ("hunter2", JWT, "HEGG560427MVZRRL04"):
        assert secret not in written
    assert written.count(REDACTED) == 5


@pytest.mark.parametrize(
    "text", ["POST /v1/entries 201", "http://localhost:21000/v1", "players/1/available 12.50"]
)
def test_ordinary_text_stays(text: str) -> None:
    assert redact(text) == text
