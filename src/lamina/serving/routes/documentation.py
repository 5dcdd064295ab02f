"""/docs: every address with its request and answers, on one page without scripts, made from the OpenAPI document."""

from __future__ import annotations

import html
import json
from collections.abc import Iterator, Mapping
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
HEADERS = {"content-security-policy": POLICY, "x-content-type-options": "nosniff", "referrer-policy": "no-referrer"}
STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 1rem; }
h2 { margin-top: 2.5rem; } details { border-top: 1px solid #8886; padding: .4rem 0; }
summary { cursor: pointer; } summary code { font-size: 1rem; } .method { display: inline-block; width: 4rem; }
pre { overflow: auto; padding: .75rem; background: #8882; border-radius: .4rem; } p { margin: .4rem 0; }
"""


def router() -> APIRouter:
    """The page."""
    made = APIRouter(include_in_schema=False)

    @made.get("/docs")
    async def docs(request: Request) -> Response:
        """What can be asked here, and how."""
        headers = {
            "content-security-policy": POLICY,
            "x-content-type-options": "nosniff",
            "referrer-policy": "no-referrer",
        }
        return HTMLResponse(page(request.app.openapi()), headers=headers)

    return made


def page(document: Mapping[str, Any]) -> str:
    """An OpenAPI document as HTML."""
    info = document["info"]
    return "".join(
        (
            "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>",
            f"<title>{_text(info['title'])}: addresses</title><style>{STYLE}</style><body>",
            f"<h1>{_text(info['title'])} {_text(info['version'])}</h1><p>{_text(info.get('summary', ''))} ",
            "<a href=/openapi.json>OpenAPI document</a> · <a href=/>Playground</a></p><main>",
            *_sections(document),
            "</main>",
        )
    )


def _sections(document: Mapping[str, Any]) -> Iterator[str]:
    tagged: dict[str, list[str]] = {}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            tag = (operation.get("tags") or ["more"])[0]
            tagged.setdefault(tag, []).append(_operation(document, path, method, operation))
    for tag, shown in tagged.items():
        yield f"<h2>{_text(tag)}</h2>{''.join(shown)}"


def _operation(document: Mapping[str, Any], path: str, method: str, operation: Mapping[str, Any]) -> str:
    parts = [
        f"<details><summary><code><span class=method>{method.upper()}</span>{_text(path)}</code></summary>",
        f"<p>{_text(operation.get('description', ''))}</p>",
    ]
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    if body is not None:
        parts.append(f"<h3>Request</h3><pre tabindex=0>{_text(json.dumps(_resolved(document, body), indent=1))}</pre>")
    answer = operation.get("responses", {}).get("200", {}).get("content", {}).get("application/json", {}).get("schema")
    if answer:
        parts.append(f"<h3>Answer</h3><pre tabindex=0>{_text(json.dumps(_resolved(document, answer), indent=1))}</pre>")
    return "".join((*parts, "</details>"))


def _resolved(document: Mapping[str, Any], schema: Any, depth: int = 0) -> Any:
    """A schema with what it refers to in place, some levels down."""
    if isinstance(schema, list):
        return [_resolved(document, one, depth) for one in schema]
    if not isinstance(schema, dict):
        return schema
    name = str(schema.get("$ref", "")).rpartition("/")[2]
    if name and depth < 4:
        return _resolved(document, document["components"]["schemas"][name], depth + 1)
    return {key: _resolved(document, value, depth) for key, value in schema.items()}


def _text(words: str) -> str:
    return html.escape(words)
