"""/docs: every address with its request and answers, on one page without scripts, made from the OpenAPI document."""

from __future__ import annotations

import html
import json
from collections.abc import Iterator, Mapping
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from ..playground import SECURITY

Schema = Mapping[str, Any]

DEEPEST = 3  # objects within objects that are shown
STYLES = ("base.css", "layout.css", "docs.css")
BOUNDS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
HEADER = """
<a class=skip href=#main>Skip to the addresses</a>
<header class=top>
<a class=brand href=/><img src=/static/icon.svg alt="" width=26 height=26><span>Lamina</span></a>
<span class=switcher></span>
<nav class=links aria-label=Server><a href=/>Models</a><a href=/openapi.json>openapi.json</a></nav>
</header>
"""


def router() -> APIRouter:
    made = APIRouter(include_in_schema=False)

    @made.get("/docs")
    async def docs(request: Request) -> Response:
        """What can be asked here, and how."""
        return HTMLResponse(page(request.app.openapi()), headers=SECURITY)

    return made


def page(document: Schema) -> str:
    info = document["info"]
    name = _text(f"{info['title']} {info['version']}")
    return "".join(
        (
            "<!doctype html><html lang=en><head><meta charset=utf-8>",
            "<meta name=viewport content='width=device-width, initial-scale=1'>",
            f"<title>API · {name}</title><link rel=icon href=/static/icon.svg type=image/svg+xml>",
            "<script src=/static/theme.js></script>",
            *(f"<link rel=stylesheet href=/static/{style}>" for style in STYLES),
            f"</head><body>{HEADER}<main id=main tabindex=-1><div class=heading><h1>{name}</h1>",
            f"<p class=lead>{_text(info.get('summary', ''))}</p></div><div class=docs>",
            *_sections(document),
            "</div></main></body></html>",
        )
    )


def _sections(document: Schema) -> Iterator[str]:
    tagged: dict[str, list[str]] = {}
    paths = sorted(document["paths"].items(), key=lambda item: item[0].startswith("/models/"))  # the short ones first
    for path, operations in paths:
        for method, operation in operations.items():
            tag = (operation.get("tags") or ["more"])[0]
            tagged.setdefault(tag, []).append(_operation(document, path, method, operation))
    for tag, shown in sorted(tagged.items(), key=lambda item: item[0] != "inference"):
        yield f"<section><h2>{_text(tag)}</h2>{''.join(shown)}</section>"


def _operation(document: Schema, path: str, method: str, operation: Schema) -> str:
    description = operation.get("description", "")
    statuses = "".join(
        f"<li><code>{_text(status)}</code> <span class=soft>{_text(answer.get('description', ''))}</span></li>"
        for status, answer in operation.get("responses", {}).items()
    )
    return "".join(
        (
            f"<details class=operation><summary><span class=method>{method.upper()}</span>",
            f"<span class=path>{_text(path)}</span><span class=soft>{_text(description.partition('.')[0])}</span>",
            f"</summary><div class=inside><p>{_text(description)}</p>",
            _parameters(document, operation.get("parameters", [])),
            _content(document, "Request", operation.get("requestBody", {})),
            _content(document, "Answer", operation.get("responses", {}).get("200", {})),
            f"<h3>Statuses</h3><ul class=fields>{statuses}</ul></div></details>",
        )
    )


def _parameters(document: Schema, parameters: list[Any]) -> str:
    if not parameters:
        return ""
    asked = {
        "properties": {one["name"]: {**one["schema"], "description": one.get("description", "")} for one in parameters},
        "required": [one["name"] for one in parameters if one.get("required")],
    }
    return f"<h3>In the address</h3>{_fields(document, asked, 0)}"


def _content(document: Schema, title: str, described: Schema) -> str:
    parts = []
    for media, content in described.get("content", {}).items():
        schema = content.get("schema", {})
        inner = _object_in(document, schema)
        parts.append(f"<h3>{title}: <code>{_text(media)}</code>{_type(document, schema)}</h3>")
        parts.append(_fields(document, inner, 0) if inner else "")
    return "".join(parts)


def _fields(document: Schema, schema: Schema, depth: int) -> str:
    items = []
    for name, given in schema["properties"].items():
        inner = _object_in(document, given) if depth < DEEPEST else None
        must = "<span class=must>required</span>" if name in schema.get("required", ()) else ""
        words = given.get("description") or _resolved(document, given).get("description", "")
        items.append(
            f"<li><code>{_text(name)}</code>{_type(document, given)}{must}<p>{_text(words)}</p>"
            f"{_fields(document, inner, depth + 1) if inner else ''}</li>"
        )
    return f"<ul class=fields>{''.join(items)}</ul>"


def _type(document: Schema, given: Schema) -> str:
    """The type of a schema with its limits, beside its name."""
    schema = _resolved(document, given)
    bounds = "".join(f" {sign} {schema[name]}" for name, sign in BOUNDS.items() if name in schema)
    usual = f", default {json.dumps(given['default'])}" if given.get("default") is not None else ""
    return f"<span class=type>{_text(_type_name(document, given) + bounds + usual)}</span>"


def _type_name(document: Schema, given: Schema) -> str:
    schema = _resolved(document, given)
    if options := schema.get("anyOf", schema.get("oneOf")):
        return " | ".join(dict.fromkeys(_type_name(document, option) for option in options))
    if "enum" in schema or "const" in schema:
        return " | ".join(json.dumps(value) for value in schema.get("enum", [schema.get("const")]))
    if schema.get("type") == "array":
        return f"[{_type_name(document, schema.get('items', {}))}]"
    return str(schema["title"] if "properties" in schema and "title" in schema else schema.get("type", "any"))


def _object_in(document: Schema, given: Schema) -> Schema | None:
    """The object inside a schema: itself, its items, or the first of its options that is one."""
    schema = _resolved(document, given)
    if schema.get("properties"):
        return schema
    inside = [schema.get("items"), *schema.get("anyOf", schema.get("oneOf", []))]
    return next((found for one in inside if one and (found := _object_in(document, one))), None)


def _resolved(document: Schema, schema: Schema) -> Schema:
    """A schema, or what it refers to."""
    name = str(schema.get("$ref", "")).rpartition("/")[2]
    return _resolved(document, document["components"]["schemas"][name]) if name else schema


def _text(words: str) -> str:
    return html.escape(words)
