"""A real browser for tests: Debian's chromium driven by Playwright, and the accessibility checker run in its pages."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

NODE = Path(__file__).resolve().parent.parent / ".cache" / "node"
QUIET = (  # chromium calls its maker's services otherwise
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def node_program() -> str:
    """Node; skips the test where it is missing."""
    return shutil.which("node") or pytest.skip("node is not installed")


def node_modules() -> Path:
    """Where the JavaScript packages lie; skips the test where they, or node, are missing."""
    node_program()
    if not (NODE / "node_modules").is_dir():
        pytest.skip("the packages of tests/node/package.json are not installed: run scripts/outside")
    return NODE / "node_modules"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A chromium for a file of tests: while it runs, so does an event loop, and other tests start their own."""
    executable = shutil.which("chromium")
    if executable is None:
        pytest.skip("chromium is not installed: run scripts/outside as root on Debian")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=executable, args=list(QUIET))
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """A fresh page. The test fails afterwards if a script threw, or the page asked another host for anything."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(f"script error: {error}"))
    page.on("request", lambda request: _outside(request.url) and faults.append(f"outside request: {request.url}"))
    yield page
    context.close()
    assert not faults, faults


def axe(page: Any, **options: Any) -> list[str]:
    """What axe-core finds wrong with the page, a line per rule: its name, its help, the first elements."""
    source = (node_modules() / "axe-core" / "axe.min.js").read_text(encoding="utf-8")
    page.evaluate(source)  # evaluated, not added as a script, which a content security policy refuses
    found = page.evaluate("options => axe.run(document, options)", options)
    return [
        f"{rule['id']}: {rule['help']}: {[node['target'] for node in rule['nodes'][:3]]}"
        for rule in found["violations"]
    ]


def _outside(url: str) -> bool:
    return not url.startswith(("http://127.0.0.1:", "http://localhost:", "data:", "blob:", "about:"))
