"""The page for everyone: no complaint of the accessibility checker, in either theme, in any view or dialog."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from lamina.viewer.app import create_app
from lamina.viewer.settings import Settings
from tests.browser import axe

from . import reviews
from .test_page import WAIT, settled

VIEWS = {
    "rows": "?split=train",
    "row": "?split=train&row=4",
    "search": "?split=train&q=film",
    "nothing": "?split=train&q=zebra",
    "sql": '?split=train&view=sql&sql=SELECT label, count(*) AS "rows" FROM data GROUP BY ALL',
    "tokens": "?split=train&view=tokens&column=text&tokenizer=built-in",
}
DIALOGS = {"filter": "f", "code": "c", "keys": "?"}


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = reviews.write(tmp_path_factory.mktemp("data") / "reviews", rows=12)  # the checker reads every cell
    cache = tmp_path_factory.mktemp("cache")
    with reviews.serving(create_app(folder, Settings(cache=cache, hub_cache=cache))) as found:
        yield found


def show(page: Any, address: str, view: str) -> None:
    page.set_default_timeout(WAIT)
    page.goto(f"{address}/{VIEWS[view]}")
    if view == "sql":
        page.get_by_role("button", name="Run").click()
        page.wait_for_selector(".results tbody tr")
    elif view == "tokens":
        page.wait_for_selector(".limit-line")
    elif view == "nothing":
        page.wait_for_selector(".empty")
    else:
        page.wait_for_selector("tbody tr")
        settled(page)


@pytest.mark.parametrize("view", list(VIEWS))
def test_axe_has_no_complaint(page: Any, address: str, view: str):
    show(page, address, view)
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)
        assert axe(page) == [], theme


def test_axe_has_no_complaint_about_dialogs(page: Any, address: str):
    show(page, address, "rows")
    for key in DIALOGS.values():
        page.keyboard.press(key)
        page.wait_for_selector("dialog[open]")
        assert axe(page) == []
        page.keyboard.press("Escape")
        page.wait_for_selector("dialog", state="detached")


def test_the_theme_is_chosen_and_kept(page: Any, address: str):
    page.emulate_media(color_scheme="light")
    show(page, address, "rows")
    ground = "() => getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)
    page.locator("#theme-button").click()
    page.locator("#theme-button").click()  # auto, light, dark
    dark = page.evaluate(ground)
    assert dark != light
    page.reload()
    assert page.evaluate(ground) == dark


@pytest.mark.parametrize("view", list(VIEWS))
def test_nothing_runs_out_of_the_window(page: Any, address: str, view: str):
    show(page, address, view)
    for width in (420, 900, 1600):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), width
        assert page.evaluate("document.body.scrollHeight <= innerHeight"), width
