"""`/docs`: Swagger UI over `/openapi.json`, every asset served from here.

The assets are those of Swagger UI's own distribution, as a Python package ships them; the package's
code is not imported.
"""

from collections.abc import Iterator
from html import escape
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from aiohttp import web

from common.http.routes import Handler

_ASSETS: Final = {
    "swagger-ui.css": "stylesheets",
    "swagger-ui-bundle.js": "javascripts",
}
_START: Final = (
    'SwaggerUIBundle({url: "/openapi.json", dom_id: "#ui", deepLinking: true, validatorUrl: null});'
)
_PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{title}</title>
<link rel="stylesheet" href="/docs/swagger-ui.css">
</head>
<body>
<div id="ui"></div>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
"""
_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'",
    "X-Content-Type-Options": "nosniff",
}


def add_docs(router: web.UrlDispatcher, title: str) -> Iterator[web.AbstractRoute]:
    """Serve the page, its three assets and nothing else. Yields what it adds."""
    yield router.add_get("/docs", _text(_PAGE.format(title=escape(title)), "text/html"))
    yield router.add_get("/docs/start.js", _text(_START, "text/javascript"))
    for name, folder in _ASSETS.items():
        yield router.add_get(f"/docs/{name}", _file(_distribution() / folder / name))


def _distribution() -> Path:
    spec = find_spec("mkdocs_swagger_ui_tag")
    if spec is None or spec.origin is None:
        raise RuntimeError("mkdocs-swagger-ui-tag, the package that ships Swagger UI, is not installed")
    return Path(spec.origin).parent / "swagger-ui"


def _text(text: str, content_type: str) -> Handler:
    async def asset(_: web.Request) -> web.Response:
        return web.Response(text=text, content_type=content_type, headers=_HEADERS)

    return asset


def _file(path: Path) -> Handler:
    async def asset(_: web.Request) -> web.FileResponse:
        return web.FileResponse(path, headers=_HEADERS)

    return asset
