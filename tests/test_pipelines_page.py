"""docs/pipelines.md is what the table of options says."""

from scripts.options_page import PAGE, page


def test_the_page_is_the_table() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run python -m scripts.options_page"
