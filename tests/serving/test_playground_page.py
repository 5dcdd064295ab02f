"""The pages in a real browser, as people use them: by mouse, by keyboard, in the dark."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lamina import pipeline
from lamina.errors import CheckpointError
from lamina.serving import ServeSettings, create_app
from lamina.serving.models import Served
from tests.browser import axe

from .running import Running, in_thread

ACCESSIBLE = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
EMOJI = "🎂🎉 Ben was late. Anna 👩‍🍳 baked the cake."


def open_model(page: Any, server: Running, name: str, task: str = "") -> None:
    page.goto(f"{server.url}/ui/models/{name}" + (f"/pipeline/{task}" if task else ""))
    page.get_by_role("button", name="Run").wait_for()


def answered(page: Any) -> None:
    """Wait until the answer and what it cost are there."""
    page.locator(".metrics").wait_for()
    page.locator('.out:not([aria-busy="true"])').wait_for()


def until(page: Any, expression: str) -> None:
    """Wait until an expression holds; Playwright's own way evaluates text in the page, which the policy refuses."""
    for _ in range(600):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"never so: {expression}")


def ask(page: Any, **fields: str) -> None:
    for name, text in fields.items():
        page.locator(f'[data-field="{name}"]').first.fill(text)
    page.get_by_role("button", name="Run").click()
    answered(page)


def tab(page: Any, name: str) -> Any:
    page.get_by_role("tab", name=name, exact=True).click()
    return page.get_by_role("tabpanel", name=name, exact=True)


def test_the_list_leads_to_every_model_and_task(server: Running, page: Any) -> None:
    page.goto(server.url)
    cards = page.locator(".card")
    cards.first.wait_for()
    names = page.locator(".card-name").all_text_contents()
    assert names == [model["id"] for model in server.get("/playground/models")[1]["models"]]
    assert axe(page, **ACCESSIBLE) == []
    page.get_by_role("link", name="sentence-similarity").first.click()
    page.wait_for_url("**/pipeline/sentence-similarity")
    page.get_by_label("Source sentence").wait_for()
    assert "sentence-similarity" in page.title()
    page.get_by_label("Model", exact=True).select_option(label="bert-qa")
    page.wait_for_url("**/ui/models/bert-qa")
    page.get_by_label("Question").wait_for()


def test_labels_are_bars_with_the_server_s_scores(server: Running, page: Any) -> None:
    open_model(page, server, "bert-moods")
    text = "A warm film."
    ask(page, text=text)
    expected = server.post("/models/bert-moods", {"inputs": text})[1][0]
    rows = page.locator(".bars li")
    assert rows.count() == len(expected)
    assert rows.locator(".bar-name").all_text_contents() == [one["label"] for one in expected]
    shares = [float(text.rstrip("%")) for text in rows.locator(".bar-score").all_text_contents()]
    assert shares == pytest.approx([100 * one["score"] for one in expected], abs=0.06)
    assert expected[0]["label"] in page.locator("#announcer").text_content()
    costs = page.locator(".metrics").text_content()
    assert re.search(r"Round trip[\d.]+ m?s", costs) and re.search(r"Read\d+ tokens", costs)
    assert f"{len(text)} characters" in costs
    assert axe(page, **ACCESSIBLE) == []


def test_examples_run_at_a_click(server: Running, page: Any) -> None:
    open_model(page, server, "bert-mask")
    page.get_by_role("group", name="Examples").get_by_role("button").first.click()
    answered(page)
    assert "[MASK]" in page.get_by_label("Text").input_value()
    assert page.locator(".bars li").count() == 5
    page.get_by_role("button", name="Two gaps").click()
    page.get_by_text("Gap 2 of 2").wait_for()


def test_keys_run_stop_and_find_the_input(server: Running, page: Any) -> None:
    open_model(page, server, "bert-moods")
    page.locator("body").press("/")
    page.keyboard.type("A fine film.")
    assert page.get_by_label("Text", exact=True).input_value() == "A fine film."
    page.keyboard.press("Control+Enter")
    answered(page)
    tabs = page.get_by_role("tablist", name="What to see")
    tabs.get_by_role("tab", name="Answer").focus()
    page.keyboard.press("ArrowRight")
    assert tabs.get_by_role("tab", name="Tokens").get_attribute("aria-selected") == "true"
    page.keyboard.press("End")
    assert tabs.get_by_role("tab", name="Code").get_attribute("aria-selected") == "true"
    assert tabs.locator('[tabindex="0"]').count() == 1


def test_entities_stand_where_they_are_in_the_text(server: Running, page: Any) -> None:
    open_model(page, server, "bert-tags")
    text = f"{EMOJI} 그리고 Minji in Seoul 🏖️."
    ask(page, text=text)
    expected = server.post("/models/bert-tags", {"inputs": text})[1]
    assert expected, "the test needs entities"
    marks = page.locator(".marked mark").evaluate_all("marks => marks.map((mark) => mark.firstChild.textContent)")
    ends = [0, *(one["end"] for one in expected)]
    starts = [max(one["start"], end) for one, end in zip(expected, ends, strict=False)]  # pieces of one syllable
    assert marks == [text[start : one["end"]] for start, one in zip(starts, expected, strict=True)]
    shown = page.locator(".marked").evaluate(
        "(all) => [...all.childNodes].map((one) => one.localName === 'mark' ? one.firstChild.data : one.data).join('')"
    )
    assert shown == text
    assert axe(page, **ACCESSIBLE) == []


def test_the_answer_is_marked_in_its_context(server: Running, page: Any) -> None:
    open_model(page, server, "bert-qa")
    ask(page, question="Who baked it?", context=EMOJI)
    inputs = {"question": "Who baked it?", "context": EMOJI}
    expected = server.post("/models/bert-qa", {"inputs": inputs})[1]
    assert page.locator("mark.passage").text_content() == EMOJI[expected["start"] : expected["end"]]
    page.locator("summary").click()
    page.get_by_label("Top k").fill("3")
    page.get_by_role("button", name="Run").click()
    page.locator(".bars li").nth(2).wait_for()
    several = server.post("/models/bert-qa", {"inputs": inputs, "parameters": {"top_k": 3}})[1]
    page.locator(".bars button").nth(2).click()
    assert page.locator("mark.passage").text_content() == EMOJI[several[2]["start"] : several[2]["end"]]


def test_text_comes_as_it_is_written(server: Running, page: Any) -> None:
    open_model(page, server, "gpt2")
    page.evaluate(
        """() => { window.seen = new Set(); new MutationObserver(() => {
        const fresh = document.querySelector('.writing .fresh'); if (fresh) window.seen.add(fresh.textContent); })
        .observe(document.querySelector('.out'), { subtree: true, childList: true, characterData: true }); }"""
    )
    page.locator("summary").click()
    page.get_by_label("Max new tokens").fill("20")
    page.get_by_label("Do sample").select_option("Off")
    ask(page, text="Berlin is")
    options = {"max_new_tokens": 20, "do_sample": False, "return_full_text": False}
    whole = server.post("/models/gpt2", {"inputs": "Berlin is", "parameters": options})[1]
    whole = (whole[0] if isinstance(whole, list) else whole)["generated_text"]
    assert page.locator(".prose .fresh").text_content() == whole
    assert page.locator(".prose .prompt").text_content() == "Berlin is"
    seen = page.evaluate("[...window.seen]")
    assert len(seen) > 3 and all(whole.startswith(part) for part in seen), seen
    assert "tokens/s" in page.locator(".metrics").text_content()


def test_texts_for_texts_are_told_as_they_come_where_one_asks(server: Running, page: Any) -> None:
    open_model(page, server, "marian", "translation")
    page.get_by_text("Show the text as it comes").click()
    page.locator("summary").click()
    page.get_by_label("Max new tokens").fill("6")
    ask(page, text="A fine city.")
    assert page.locator(".metrics").get_by_text("6 tokens", exact=True).is_visible()
    parameters = {"max_new_tokens": 6, "num_beams": 1}
    body = {"inputs": "A fine city.", "parameters": parameters}
    [greedy] = server.post("/models/marian/pipeline/translation", body)[1]
    assert page.locator(".fresh").text_content() == greedy["translation_text"]
    panel = tab(page, "Attention")
    panel.get_by_role("combobox", name="Part").select_option(label="Decoder to source")
    panel.get_by_text("Layer 1, head 1").wait_for()
    until(
        page,
        "document.querySelectorAll('.map-labels.rows span').length !== document.querySelectorAll('.looked').length",
    )
    assert axe(page, **ACCESSIBLE) == []


def test_text_never_becomes_markup(server: Running, page: Any) -> None:
    text = "<img src=x onerror=alert(1)> </textarea><script>alert(2)</script> [MASK] &amp; <b>"
    open_model(page, server, "bert-mask")
    ask(page, text=text)
    for name in ("Tokens", "JSON", "Code"):
        tab(page, name).locator(".piece, pre").first.wait_for()
    open_model(page, server, "bert-nli", "zero-shot-classification")
    ask(page, text=text, candidate_labels="<i>one</i>, <svg onload=alert(3)>")
    assert set(page.locator(".bar-name").all_text_contents()) == {"<i>one</i>", "<svg onload=alert(3)>"}
    assert page.locator("main img, main b, main i, main script").count() == 0


def test_the_guess_is_marked_where_the_gap_was(server: Running, page: Any) -> None:
    open_model(page, server, "bert-mask")
    page.locator("summary").click()
    page.get_by_label("Targets").fill("the")
    ask(page, text="the cat and [MASK] dog and the bird")
    before = page.locator(".sequence").evaluate("(line) => line.firstChild.data")
    assert before.endswith("cat and ")


def test_escape_stops_the_writing(server: Running, page: Any) -> None:
    open_model(page, server, "gpt2")
    page.route("**/models/gpt2", lambda route: None)  # an answer that never comes
    page.locator('[data-field="text"]').fill("Berlin is")
    page.get_by_role("button", name="Run").click()
    page.get_by_role("button", name="Stop").wait_for()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Stop").wait_for(state="hidden")
    assert page.locator("#announcer").text_content() == "Stopped"
    assert page.locator('.out[aria-busy="true"]').count() == 0


def test_an_address_restores_the_input_and_the_answer(server: Running, page: Any) -> None:
    open_model(page, server, "bert-nli", "zero-shot-classification")
    text = "좋아요 & 'so on' #1 🎉"
    page.get_by_text("Several labels may be true").click()
    ask(page, text=text, candidate_labels="economy, 스포츠")
    first = page.locator(".bars").text_content()
    until(page, "location.hash.includes('candidate_labels')")
    assert "?" not in page.url, "what stands before the # is sent to the server"
    address = page.url
    page.goto("about:blank")
    page.goto(address)
    answered(page)
    assert page.locator('[data-field="text"]').input_value() == text
    assert page.locator('[data-field="candidate_labels"]').input_value() == "economy, 스포츠"
    assert page.locator('[data-field="multi_label"]').is_checked()
    assert page.locator(".bars").text_content() == first


def test_tokens_are_pieces_with_ids(server: Running, page: Any) -> None:
    open_model(page, server, "bert-moods")
    text = "안녕하세요 filmmaking 🏖️"
    ask(page, text=text)
    panel = tab(page, "Tokens")
    panel.locator(".piece").first.wait_for()
    expected = server.post("/models/bert-moods/tokenize", {"inputs": text})[1][0]
    assert panel.locator(".piece-id").all_text_contents() == [str(token["id"]) for token in expected]
    assert panel.locator(".piece.special").count() == 2
    assert f"{len(expected)} tokens for {len(text)} characters" in panel.text_content()
    assert axe(page, **ACCESSIBLE) == []


def test_attention_of_any_layer_and_head_is_drawn(server: Running, page: Any) -> None:
    open_model(page, server, "bert-tags")
    ask(page, text="Anna lives in Berlin.")
    panel = tab(page, "Attention")
    panel.locator("canvas").nth(1).wait_for()
    panel.get_by_role("combobox", name="Layer").select_option(label="Layer 2")
    panel.get_by_role("combobox", name="Head").select_option(label="Head 4")
    panel.get_by_text("Layer 2, head 4").wait_for()
    body = {"inputs": "Anna lives in Berlin.", "layer": 1, "head": 3}
    found = server.post("/playground/bert-tags/attention", body)[1]
    drawn = page.evaluate(
        """() => { const canvas = [...document.querySelectorAll('canvas.map')].pop();
        const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
        return { width: canvas.width, ink: data.filter((_, place) => place % 4 === 3) }; }"""
    )
    assert drawn["width"] == len(found["keys"])
    expected = [round(255 * weight**0.5) for row in found["weights"] for weight in row]
    assert list(drawn["ink"]) == pytest.approx(expected, abs=1)
    chosen = panel.get_by_role("group", name="The token that looks").get_by_role("button", pressed=True)
    chosen.focus()
    page.keyboard.press("ArrowRight")
    row = found["weights"][2]
    best = found["keys"][max(range(len(row)), key=row.__getitem__)]["text"]
    assert panel.locator(".bars li.best .bar-name").text_content() == best
    assert axe(page, **ACCESSIBLE) == []


def test_the_json_is_the_server_s_and_code_follows_the_form(server: Running, page: Any) -> None:
    open_model(page, server, "bert-moods")
    ask(page, text='A "fine" <b>film</b> & more.')
    shown = json.loads(tab(page, "JSON").locator("pre").text_content())
    assert shown == server.post("/models/bert-moods", {"inputs": 'A "fine" <b>film</b> & more.'})[1]
    code = tab(page, "Code")
    assert "curl" in code.locator("pre:visible").text_content()
    code.get_by_role("tab", name="Python").click()
    assert "InferenceClient" in code.locator("pre:visible").text_content()
    page.locator('[data-field="text"]').fill("Another film.")
    until(page, "[...document.querySelectorAll('.code')].some((one) => one.textContent.includes('Another film'))")
    assert code.get_by_role("tab", name="Python").get_attribute("aria-selected") == "true"
    assert axe(page, **ACCESSIBLE) == []


def test_what_is_copied_is_what_is_shown(server: Running, page: Any) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    open_model(page, server, "bert-moods")
    ask(page, text="좋은 영화 🎬")
    code = tab(page, "Code")
    for language in ("curl", "Python", "JavaScript"):
        code.get_by_role("tab", name=language).click()
        code.get_by_role("button", name=f"Copy as {language}").click()
        # Its "Copied" is gone again after a moment, in which a busy machine may not have looked.
        until(page, f"document.querySelector('#announcer').textContent === 'Copy as {language}: copied'")
        assert page.evaluate("navigator.clipboard.readText()") == code.locator("pre:visible").text_content()
    page.get_by_role("button", name="Copy link").click()
    until(page, "document.querySelector('#announcer').textContent === 'Copy link: copied'")
    assert page.evaluate("navigator.clipboard.readText()") == page.evaluate("location.href")


def test_mistakes_are_told_beside_the_form(server: Running, page: Any) -> None:
    open_model(page, server, "bert-mask")
    page.get_by_role("button", name="Run").click()
    alert = page.get_by_role("alert")
    alert.get_by_text("Text is empty.").wait_for()
    page.locator('[data-field="text"]').fill("no gap here")
    page.get_by_role("button", name="Run").click()
    alert.get_by_text("no mask token ([MASK])").wait_for()
    page.get_by_role("button", name="Gap [MASK]").click()
    assert page.locator('[data-field="text"]').input_value().count("[MASK]") == 1
    page.locator("summary").click()
    page.get_by_label("Top k").press_sequentially("1e")
    page.locator("summary").click()
    page.keyboard.press("Control+Enter")
    alert.get_by_text("top_k must be a number.").wait_for()
    assert page.evaluate("document.activeElement.getAttribute('aria-invalid')") == "true"
    page.get_by_label("Top k").fill("0")
    page.keyboard.press("Control+Enter")
    alert.get_by_text("top_k").filter(has_text="1").wait_for()
    page.goto(f"{server.url}/ui/models/nobody")
    page.get_by_text("no such model").wait_for()


def test_sentences_come_and_go_and_vectors_are_drawn(server: Running, page: Any) -> None:
    open_model(page, server, "minilm", "sentence-similarity")
    page.locator('[data-field="source_sentence"]').fill("That is a happy dog.")
    page.get_by_label("Sentence 1", exact=True).fill("That is a joyful puppy.")
    page.get_by_role("button", name="Add a sentence").click()
    page.keyboard.type("Stock markets fell.")
    page.get_by_role("button", name="Run").click()
    answered(page)
    scores = [float(text) for text in page.locator(".bar-score").all_text_contents()]
    assert scores[0] > 0.7 > 0.2 > scores[1]
    page.get_by_role("button", name="Remove sentence 2").click()
    assert page.locator('[data-field="sentences"]').count() == 1
    assert axe(page, **ACCESSIBLE) == []
    open_model(page, server, "minilm", "feature-extraction")
    ask(page, text="얇은 층 🧅")
    vectors = server.post("/models/minilm/pipeline/feature-extraction", {"inputs": "얇은 층 🧅"})[1]
    while isinstance(vectors[0][0], list):
        vectors = vectors[0]
    page.get_by_role("img", name=f"A heat map of {len(vectors)} vectors of 384 numbers").wait_for()
    assert axe(page, **ACCESSIBLE) == []


@pytest.fixture(params=["light", "dark"])
def scheme(request: Any, browser: Any) -> Iterator[Any]:
    """A page of someone whose system is light, or dark."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, color_scheme=request.param)
    yield request.param, context.new_page()
    context.close()


def test_both_color_schemes_are_readable_and_one_can_choose(server: Running, scheme: tuple[str, Any]) -> None:
    name, view = scheme
    open_model(view, server, "bert-tags")
    ask(view, text=EMOJI)
    dark = "getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0] < 100"
    assert view.evaluate(dark) is (name == "dark")
    assert axe(view, **ACCESSIBLE) == []
    view.get_by_role("button", name="Use light colors" if name == "dark" else "Use dark colors").click()
    assert view.evaluate(dark) is (name != "dark")
    assert axe(view, **ACCESSIBLE) == []
    view.reload()
    view.get_by_role("button", name="Run").wait_for()
    assert view.evaluate(dark) is (name != "dark")


@pytest.mark.parametrize("width", [360, 768])
def test_small_screens_need_no_scrolling_sideways(server: Running, page: Any, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    open_model(page, server, "bert-tags")
    ask(page, text="Donaudampfschifffahrtsgesellschaftskapitänsmützenabzeichen " * 3)
    for name in ("Tokens", "Attention", "JSON", "Code"):
        tab(page, name)
        page.wait_for_timeout(100)
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, name


def test_a_locked_server_asks_for_its_key_once(locked: Running, page: Any) -> None:
    page.goto(locked.url)
    page.get_by_label("Key", exact=True).fill("open sesame")
    page.get_by_role("button", name="Keep").click()
    page.get_by_role("button", name="Run").wait_for()
    ask(page, text="Berlin is")
    page.reload()
    page.get_by_role("button", name="Run").wait_for()
    assert "LAMINA_API_KEY" in tab(page, "Code").locator("pre:visible").text_content()


def test_the_api_is_shown_from_this_server_alone(server: Running, page: Any) -> None:
    page.goto(f"{server.url}/docs")
    page.locator(".operation").first.wait_for()
    paths = set(server.get("/openapi.json")[1]["paths"])
    assert set(page.locator(".operation .path").all_text_contents()) == paths
    attention = page.locator(".operation").filter(has_text="/playground/{model_id}/attention")
    attention.locator("summary").click()
    assert attention.get_by_text("Which stack, or the decoder's view of the source.").is_visible()
    assert axe(page, **ACCESSIBLE) == []


@pytest.fixture
def mixed(checkpoint: Callable[[str], Path]) -> Iterator[tuple[Running, Any]]:
    """A server of two models, one of which cannot be loaded; and what it holds."""

    def fail() -> Any:
        raise CheckpointError("model.safetensors is cut off after 12 bytes")

    good = pipeline("text-classification", model=str(checkpoint("bert-moods")), device="cpu")
    models = {"good/moods": Served.from_pipeline("good/moods", good), "broken": Served("broken", fail, "fill-mask")}
    app = create_app(ServeSettings(device="cpu"), models)
    with in_thread(app) as running:
        yield running, app.state.serving


def test_a_model_that_failed_says_why_and_one_that_loads_goes_on_by_itself(
    mixed: tuple[Running, Any], page: Any
) -> None:
    server, serving = mixed
    page.goto(server.url)
    page.locator(".card").nth(1).get_by_text("is cut off after 12 bytes").wait_for()
    assert axe(page, **ACCESSIBLE) == []
    page.get_by_role("link", name="broken").click()
    page.get_by_role("alert").get_by_text("is cut off after 12 bytes").wait_for()
    assert page.get_by_role("button", name="Run").count() == 0
    serving.models["good/moods"].state = "loading"
    page.goto(f"{server.url}/ui/models/good/moods")
    page.get_by_text("The weights are being read.").wait_for()
    assert axe(page, **ACCESSIBLE) == []
    serving.models["good/moods"].state = "ready"
    page.get_by_role("button", name="Run").wait_for()
    ask(page, text="A fine film.")
    assert page.locator(".bars li").count() == 3


def test_a_server_that_went_away_is_named(mixed: tuple[Running, Any], page: Any) -> None:
    server, _ = mixed
    open_model(page, server, "good/moods")
    page.route("**/models/good/moods", lambda route: route.abort())
    page.locator('[data-field="text"]').first.fill("A fine film.")
    page.get_by_role("button", name="Run").click()
    page.get_by_role("alert").get_by_text("The server does not answer.").wait_for()


def test_an_overloaded_server_says_when_to_come_back(mixed: tuple[Running, Any], page: Any) -> None:
    server, serving = mixed
    open_model(page, server, "good/moods")
    permit = serving.admission.enter(serving.settings.limits.batch_inputs)
    more = [serving.admission.enter(serving.settings.limits.batch_inputs) for _ in range(1)]
    try:
        page.locator('[data-field="text"]').first.fill("A fine film.")
        page.get_by_role("button", name="Run").click()
        page.get_by_role("alert").get_by_text("the server is overloaded").wait_for()
        assert "try again in" in page.get_by_role("alert").text_content().lower()
    finally:
        for one in (permit, *more):
            one.leave()
    page.get_by_role("button", name="Run").click()
    answered(page)
