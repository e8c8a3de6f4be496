"""Players and the feature browser, driven as a listener drives them."""

import numpy as np
import pytest
import soundfile

from auscult.core.tensors import read_json

PLAYS = """(({ clip, loading, position }) =>
  clip !== null && !loading && position > clip.start)(auscult.player)"""


# What plays is over in half a second, and a busy machine looks late: the page itself keeps a record.
WATCH = """() => {
  window.seen = { labels: [], pressed: false };
  setInterval(() => {
    const { clip, loading, position } = auscult.player;
    if (clip === null || loading || position <= clip.start) return;
    if (!seen.labels.includes(clip.label)) seen.labels.push(clip.label);
    seen.pressed ||= document.querySelector(".tile-play").getAttribute("aria-pressed") === "true";
  }, 5);
}"""


def until(page, condition, most_s=10.0):
    """Wait for a condition; Playwright's own way evaluates strings, which the pages forbid."""
    for _ in range(round(most_s / 0.05)):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(50)
    pytest.fail(f"{condition} never came true")


def _features(visit, rendered, anchor=""):
    page = visit(rendered).open("features", anchor)
    page.wait_for_selector(".tile-play")
    return page


def _names(page):
    return page.locator(".card h3").all_inner_texts()


def test_a_press_on_a_tile_plays_the_excerpt_to_its_end(visit, rendered):
    page = _features(visit, rendered)
    page.evaluate(WATCH)
    tile = page.locator(".tile-play").first
    tile.click()
    until(page, "seen.labels.length === 1 && auscult.player.clip === null")
    assert page.evaluate("seen.pressed")
    assert page.evaluate("auscult.player.starts") == 1
    # The context begins with the press: its clock holds all that was played, however late we look.
    assert page.evaluate("auscult.player.context.currentTime") > 0.3
    assert tile.get_attribute("aria-pressed") == "false"


def test_a_tile_says_what_it_plays(visit, rendered):
    page = _features(visit, rendered)
    label = page.locator(".tile-play").first.get_attribute("aria-label")
    assert label.startswith("Play: top fragment 1 of feature 0, ")
    assert " s of " in label


def test_a_decoded_clip_is_aligned_with_the_recording_to_a_sample(visit, rendered):
    page = visit(rendered).open("sounds")
    index = read_json(rendered / "clips" / "index.json")
    entry = index["piano-1#0"]
    original, rate = soundfile.read(rendered / entry["file"])
    stem = page.locator(".sound", has_text="piano-1").get_attribute("id")
    told = page.evaluate(
        """async ([stem, rate, duration]) => {
          const coded = await auscult.load(`audio:${stem}`, `clips/${stem}.audio.js`);
          const context = new OfflineAudioContext(1, rate, rate);
          const buffer = await context.decodeAudioData(auscult.bytes(coded).buffer);
          const late = buffer.duration - duration > 0.012 ? 1105 : 0;
          return [late, Array.from(buffer.getChannelData(0))];
        }""",
        [stem, rate, len(original) / rate],
    )
    decoded = np.array(told[1])[told[0] :][: len(original)]
    reach = np.arange(-40, 41)
    alike = [np.dot(original[100:-100], np.roll(decoded, -lag)[100:-100]) for lag in reach]
    assert abs(int(reach[np.argmax(alike)])) <= 1


def test_the_gain_brings_the_excerpt_to_equal_loudness_and_can_be_switched_off(visit, rendered):
    page = _features(visit, rendered)
    page.evaluate(WATCH)
    page.locator(".tile-play").first.click()
    until(page, "seen.labels.length === 1")
    assert "to −23 LUFS" in page.locator(".bar-meta").inner_text()
    page.get_by_role("button", name="Equal loudness").click()
    assert "as recorded" in page.locator(".bar-meta").inner_text()


def test_a_press_on_an_activation_map_seeks_and_the_cursor_follows(visit, rendered):
    page = _features(visit, rendered)
    stage = page.locator(".stage").first
    stage.scroll_into_view_if_needed()
    box = stage.bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    until(page, PLAYS)
    assert 1.0 <= page.evaluate("auscult.player.position") < 1.9
    cursor = stage.locator(".cursor")
    page.wait_for_timeout(150)
    assert float(cursor.evaluate("(line) => parseFloat(line.style.left)")) > 50


def test_sorting_and_turning_the_order_round(visit, rendered):
    page = _features(visit, rendered)
    first = _names(page)
    assert first[0] == "feature 0"
    page.get_by_role("button", name="Descending").click()
    assert page.locator(".card .chosen dd").first.inner_text() == "0"
    page.locator(".sort-by").select_option("centroid")
    values = [
        float(text.split()[0].replace(",", ""))
        for text in page.locator(".card .chosen dd").all_inner_texts()
    ]
    assert values == sorted(values)


@pytest.mark.parametrize(
    ("act", "left"),
    [
        (lambda page: page.locator("input[type=search]").fill("feature 21"), "1 of 24 items"),
        (lambda page: page.get_by_label("Hide dead").check(), "23 of 24 items"),
        (lambda page: page.get_by_label("max of the chosen measure").fill("0"), "1 of 24 items"),
        (lambda page: page.get_by_label("min of the chosen measure").fill("2"), "0 of 24 items"),
    ],
    ids=["search", "hide dead", "max", "min"],
)
def test_filters_keep_what_passes(act, left, visit, rendered):
    page = _features(visit, rendered)
    act(page)
    assert page.locator(".count").inner_text() == left


def test_the_keyboard_walks_through_cards_and_fragments_and_plays(visit, rendered):
    page = _features(visit, rendered)
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.type") == "search"
    page.locator(".card").first.focus()
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement === document.querySelectorAll('.card')[1]")
    page.evaluate(WATCH)
    page.keyboard.press("Enter")
    until(page, "seen.labels.length === 1")
    assert "feature 1" in page.evaluate("seen.labels[0]")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')").startswith(
        "Play: top fragment 2"
    )
    page.keyboard.press("Escape")
    assert page.evaluate("auscult.player.clip") is None


def test_arrows_go_on_to_the_next_page_of_cards(visit, rendered):
    page = _features(visit, rendered)
    page.locator(".card").nth(5).focus()
    page.keyboard.press("ArrowDown")
    assert page.locator(".pager span").first.inner_text() == "7–12 of 24"
    assert page.evaluate("document.activeElement === document.querySelector('.card')")


def test_a_link_to_a_card_opens_its_page(visit, rendered):
    page = _features(visit, rendered, "#features-3=20")
    assert "feature 20" in _names(page)


def test_thousands_of_items_stay_fluid(visit, rendered):
    page = _features(visit, rendered)
    took_ms = page.evaluate(
        """() => {
          const n = 4096;
          const all = (make) => Array.from({ length: n }, (_, i) => make(i));
          const values = all((i) => (i * 7919) % n);
          const names = all((i) => `feature ${i}`);
          const gallery = {
            type: "Gallery", title: "many", note: "", key: "many", per_file: 8, sort_by: "usage",
            names, search: names, measures: [{ name: "usage", label: "usage", unit: "", values }],
          };
          const host = document.body.appendChild(document.createElement("section"));
          const began = performance.now();
          auscult.draw.Gallery(gallery, host);
          host.querySelector("input[type=search]").value = "9";
          host.querySelector("input[type=search]").dispatchEvent(new Event("input"));
          const took = performance.now() - began;
          host.remove();
          return took;
        }"""
    )
    assert took_ms < 1000


def test_calm_readers_get_a_cursor_but_no_glide(visit, rendered):
    page = visit(rendered, reduced_motion="reduce").open("features")
    assert page.evaluate("auscult.calm()")
    style = "getComputedStyle(document.querySelector('.tool')).transitionDuration"
    assert page.evaluate(style) == "0s"
