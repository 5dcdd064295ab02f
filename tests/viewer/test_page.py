"""The page in a real browser: what is shown, what a click does, and what the address keeps."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from lamina.viewer.app import create_app
from lamina.viewer.settings import Settings

from . import reviews

WAIT = 120_000  # milliseconds before something that should appear counts as missing, on a machine with much else to do


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = reviews.write(tmp_path_factory.mktemp("data") / "reviews")
    cache = tmp_path_factory.mktemp("cache")
    with reviews.serving(create_app(folder, Settings(cache=cache, hub_cache=cache))) as found:
        yield found


@pytest.fixture
def opened(page: Any, address: str) -> Any:
    page.set_default_timeout(WAIT)
    page.goto(f"{address}/?split=train")
    page.wait_for_selector("tbody tr")
    return page


def settled(page: Any) -> Any:
    """The page, once its rows are those asked for and the heads are drawn."""
    page.wait_for_selector("#grid:not(.waiting)")
    page.wait_for_function("() => document.querySelectorAll('.figure.waiting').length === 0")
    return page


def shown(page: Any, column: str) -> list[str]:
    """Texts of a column's cells."""
    names = page.locator("thead th").evaluate_all("all => all.map((cell) => cell.dataset.column ?? '')")
    return [
        cell.strip() for cell in page.locator(f"tbody tr > :nth-child({names.index(column) + 1})").all_inner_texts()
    ]


def head(page: Any, column: str) -> Any:
    return page.locator("thead th").filter(has=page.get_by_title(f"Sort by {column}", exact=True))


def asked(page: Any) -> dict[str, list[str]]:
    return parse_qs(urlsplit(page.url).query)


def test_rows_types_and_counts(opened: Any):
    page = settled(opened)
    assert page.title() == "reviews: train · Lamina"
    assert page.locator("tbody tr").count() == 100
    assert shown(page, "id")[0] == str(reviews.LARGE)
    assert shown(page, "label")[:3] == ["negative0", "neutral1", "positive2"]
    assert shown(page, "stars")[9] == "null"
    assert shown(page, "score")[7:9] == ["NaN", "Infinity"]
    assert shown(page, "score")[1] == "0.14285715"  # a float32 as it was meant, not as the double it becomes
    assert page.locator("#summary").inner_text() == "250 rows"
    page.wait_for_function("() => document.querySelector('#split').innerText.includes('(30)')")
    assert "class (3)" in head(page, "label").inner_text()
    assert "10% null" in head(page, "stars").inner_text()


def test_data_never_becomes_code(opened: Any):
    assert reviews.SCRIPT in shown(opened, "text")[0]
    assert shown(opened, '"; DROP <b>')[:2] == ["0", "1"]
    assert opened.title() == "reviews: train · Lamina"


def test_directions_of_scripts(opened: Any):
    direction = "cell => getComputedStyle(cell).direction"
    cells = opened.locator("tbody tr td:nth-child(2) > .cell")
    assert cells.nth(1).evaluate(direction) == "ltr"
    assert cells.nth(2).evaluate(direction) == "rtl"
    assert reviews.KOREAN in cells.nth(1).inner_text()


def test_a_class_bar_filters_and_the_chip_takes_it_back(opened: Any):
    page = settled(opened)
    head(page, "label").get_by_role("button", name=re.compile("^positive 33%: 83 rows")).click()
    page.wait_for_selector(".chip")
    assert page.locator(".chip").inner_text().strip().startswith("label = positive")
    assert set(shown(settled(page), "label")) == {"positive2"}
    assert page.locator("#summary").inner_text() == "83 of 250 (33%) rows match"
    page.get_by_role("button", name="Remove: label = positive").click()
    page.wait_for_function("() => document.querySelector('#summary').textContent === '250 rows'")


@pytest.mark.parametrize(
    ("column", "bar"), [("stars", -1), ("id", 0), ("text", 0), ("tags", 1), ("written", 3), ("seen", 0)]
)
def test_every_kind_of_bar_filters_to_what_it_says(opened: Any, column: str, bar: int):
    page = settled(opened)
    found = head(page, column).locator(".bars button, .classes button")
    bar = bar % found.count()
    said = found.nth(bar).get_attribute("aria-label")
    rows = int(re.search(r": ([\d,]+)(?: \(| rows)", said)[1])
    found.nth(bar).click()
    page.wait_for_selector(".chip")
    settled(page)
    assert page.locator("#summary").inner_text().startswith(f"{rows} of 250 "), said


@pytest.mark.parametrize(("column", "rows"), [("stars", 25), ("score", 1)])
def test_the_share_of_nulls_filters_to_them(opened: Any, column: str, rows: int):
    page = settled(opened)
    head(page, column).locator(".nulls").click()
    page.wait_for_selector(".chip")
    settled(page)
    assert page.locator("#summary").inner_text().startswith(f"{rows} of 250 ")
    assert set(shown(page, column)) == {"null" if column == "stars" else "NaN"}


def test_sorting_goes_up_down_and_back(opened: Any):
    page = settled(opened)
    sort = page.get_by_title("Sort by score", exact=True)
    for direction in ("ascending", "descending", None):
        sort.click()
        page.wait_for_function(
            "direction => document.querySelector('th[data-column=score]').ariaSort === direction", arg=direction
        )
        settled(page)
    assert "orderby" not in asked(page)


def test_search_marks_words_whatever_their_accents_and_case(opened: Any):
    page = opened
    page.keyboard.press("/")
    page.keyboard.type("CREME café")
    page.keyboard.press("Enter")
    page.wait_for_selector("mark")
    assert page.locator("mark").all_inner_texts() == ["Crème", "café"]
    assert page.locator("tbody tr").count() == 1
    page.locator("#search").fill("영화는")
    page.keyboard.press("Enter")
    page.wait_for_function("() => document.querySelector('mark')?.textContent === '영화는'")


def test_searching_for_nothing_says_so_and_leads_back(opened: Any):
    opened.locator("#search").fill("zebra")
    opened.keyboard.press("Enter")
    opened.get_by_role("heading", name="No row matches").wait_for()
    opened.get_by_role("button", name="Show all rows").click()
    opened.wait_for_selector("tbody tr")
    assert "q" not in asked(opened)


def test_the_address_restores_the_view(opened: Any, address: str):
    page = opened
    page.goto(f'{address}/?split=train&where="stars">=3&where="seen"=true&orderby="id" desc&row=244')
    page.wait_for_selector("tbody tr.selected")
    assert page.locator(".chip").count() == 3
    stars = shown(settled(page), "stars")
    assert stars == ["4"] * 41
    assert page.get_by_role("heading", name="Row 244").is_visible()
    before = page.url
    page.get_by_role("button", name="Close the row").click()
    page.wait_for_selector("#drawer", state="hidden")
    page.go_back()
    page.wait_for_selector("#drawer", state="visible")
    assert page.url == before


def test_pages_and_keys(opened: Any):
    page = opened
    page.keyboard.press("n")
    page.wait_for_function("() => document.querySelector('.range').textContent === '101–200 of 250'")
    page.keyboard.press("n")
    page.wait_for_function("() => document.querySelector('.range').textContent === '201–250 of 250'")
    assert page.get_by_role("button", name="Next page").is_disabled()
    page.get_by_label("Page", exact=True).fill("1")
    page.keyboard.press("Enter")
    page.wait_for_function("() => document.querySelector('.range').textContent === '1–100 of 250'")
    assert "p" not in asked(page)


def test_a_row_opens_whole_and_steps_over_pages(opened: Any):
    page = opened
    page.locator("tbody tr").nth(99).click()
    page.get_by_role("heading", name="Row 99").wait_for()
    page.keyboard.press("j")
    page.get_by_role("heading", name="Row 100").wait_for()
    assert asked(page)["p"] == ["2"]
    page.keyboard.press("k")
    page.get_by_role("heading", name="Row 99").wait_for()
    assert "books" in page.locator("#drawer").inner_text()
    page.keyboard.press("Escape")
    page.wait_for_selector("#drawer", state="hidden")


def test_a_long_text_is_cut_in_the_table_and_whole_in_the_row(opened: Any):
    text = reviews.text_of(3)
    assert len(shown(opened, "text")[3]) < 2_000
    opened.locator("tbody tr").nth(3).click()
    opened.wait_for_function(
        "length => document.querySelector('.field dd')?.textContent.length >= length", arg=len(text) - 5
    )
    assert text.strip() in opened.locator(".field dd").first.inner_text()


def test_lists_and_structs_fold(opened: Any):
    fold = opened.locator("tbody tr").nth(4).locator("details.fold").first
    assert "[4]" in fold.inner_text()
    fold.locator("summary").click()
    fold.locator(".tree").wait_for()
    assert "tag 3" in fold.locator(".tree").inner_text()
    assert opened.locator("#drawer").is_hidden()  # opening a fold is not opening its row


def test_a_filter_is_made_in_the_dialog(opened: Any):
    page = settled(opened)
    page.keyboard.press("f")
    page.get_by_label("Column", exact=True).select_option("text")
    page.get_by_label("Condition", exact=True).select_option("contains")
    page.get_by_label("Value", exact=True).fill("it's")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="No row matches").wait_for()
    page.goto(page.url.partition("?")[0] + "?split=train")
    page.wait_for_selector("tbody tr")
    page.keyboard.press("f")
    page.get_by_label("Where", exact=True).fill('"stars" > ')
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="This could not be answered").wait_for()
    assert "where" in page.locator(".empty .detail").inner_text()


def test_columns_can_be_hidden(opened: Any):
    opened.locator("#columns-button").click()
    opened.locator("dialog").get_by_label("score").uncheck()
    opened.get_by_role("button", name="Close").click()
    assert "score" not in opened.locator("thead").inner_text()
    assert asked(opened)["hide"] == ["score"]


def test_broken_files_are_named_and_the_rest_is_shown(opened: Any):
    assert "broken-train.parquet" in opened.locator("#notices").inner_text()
    assert opened.locator("tbody tr").count() == 100


def test_subsets_and_splits(opened: Any):
    page = opened
    page.locator("#config").select_option("json")
    page.wait_for_function("() => document.querySelector('thead')?.innerText.includes('question')")
    assert page.locator("tbody tr").count() == 2
    page.go_back()
    page.wait_for_function("() => document.querySelector('thead')?.innerText.includes('stars')")


def test_the_page_refuses_other_sites(address: str):
    import httpx

    page = httpx.get(address)
    assert "script-src 'self'" in page.headers["content-security-policy"]
    assert "unsafe" not in page.headers["content-security-policy"]
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        refused = httpx.get(f"{address}/view/overview", headers=headers)
        assert (refused.status_code, refused.headers["x-error-code"]) == (403, "Forbidden")
    assert httpx.get(f"{address}/static/..%2Fpage.py").status_code == 404
    assert httpx.get(f"{address}/static/page.py").status_code == 404


def test_files_of_the_page_are_plain_and_short():
    from lamina.viewer import page

    for path in sorted(Path(page.STATIC).glob("*.js")):
        text = path.read_text(encoding="utf-8")
        assert len(text.splitlines()) < 300, path.name
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(", text), path.name
        assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text), path.name


def test_a_column_tells_all_about_itself(opened: Any):
    page = settled(opened)
    page.get_by_title("All about stars", exact=True).click()
    said = page.locator("dialog").inner_text()
    for words in ("int64", "Mean", "Median", "25 (10%)"):
        assert words in said
    page.get_by_role("button", name="Rows where it is null").click()
    page.wait_for_selector(".chip")
    assert set(shown(settled(page), "stars")) == {"null"}
