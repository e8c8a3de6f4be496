"""The page of claims, as somebody finds it who wants to know what holds."""

import csv
from pathlib import Path


def test_each_verdict_leads_to_its_claims(visit, rendered):
    page = visit(rendered).open("index")
    page.get_by_role("link", name="Claims", exact=True).click()
    page.wait_for_selector("html.ready")
    counts = page.locator(".tally b").all_inner_texts()
    assert [int(count) for count in counts] == [2, 2, 1, 13]
    page.get_by_role("link", name="does not hold").click()
    heading = page.locator("h2", has_text="Does not hold")
    top, tall = heading.evaluate("(one) => [one.getBoundingClientRect().top, innerHeight]")
    assert 0 < top < tall


def test_a_claim_shows_its_value_beside_every_null_at_every_tap(visit, rendered):
    page = visit(rendered).open("ledger")
    claim = page.locator("#claim-P1-07")
    assert claim.locator(".entry").count() == 4
    second = claim.locator(".entry").nth(1)
    assert second.locator(".entry-value b").inner_text() == "19 (18 to 21)"
    nulls = [" ".join(one.split()) for one in second.locator(".entry-nulls li").all_inner_texts()]
    assert nulls == [
        "noise: 47",
        "principal components: 31",
        "random weights: 20.5 (nearest null)",
    ]
    second.get_by_role("link", name="dynamics").click()
    page.wait_for_selector("html.ready")
    assert page.locator("h1").inner_text() == "How it moves"


def test_the_line_of_an_entry_keeps_the_order_of_its_numbers(visit, rendered):
    page = visit(rendered).open("ledger")
    entry = page.locator("#claim-P1-07 .entry").nth(1)
    places = entry.evaluate(
        """(one) => ["dot-of", "tick nearest", "tick"].map((kind) =>
             [...one.querySelectorAll("i")].filter((i) => i.className === kind)
               .map((i) => i.getBoundingClientRect().left))"""
    )
    (value,), (nearest,), others = places
    assert value < nearest < min(others)


def test_the_picture_over_depth_names_the_taps(visit, rendered):
    page = visit(rendered).open("ledger")
    page.evaluate("auscult.seeAll()")
    chart = page.locator("#claim-P1-07 .chart")
    chart.wait_for()
    texts = chart.locator("text").all_text_contents()
    assert [text for text in texts if text in ("conv.0:in", "conv.0", "block.1", "block.2")] == [
        "conv.0:in",
        "conv.0",
        "block.1",
        "block.2",
    ]


def test_a_print_keeps_every_claim_and_needs_no_script(visit, rendered, tmp_path):
    visited = visit(rendered, java_script_enabled=False)
    visited.page.goto((rendered / "report" / "ledger.html").as_uri())
    visited.page.emulate_media(media="print")
    ids = "[id^='claim-P1-']"
    assert visited.page.locator(ids).count() == 18
    assert visited.page.locator("#claim-P1-02 .entry-nulls").first.is_visible()
    assert len(visited.page.pdf(path=tmp_path / "page.pdf")) > 20_000


def test_the_ledger_can_be_saved(visit, rendered):
    page = visit(rendered).open("ledger")
    with page.expect_download() as saved:
        page.get_by_role("link", name="CSV", exact=True).first.click()
    rows = list(csv.DictReader(Path(saved.value.path()).read_text().splitlines()))
    assert len({row["claim"] for row in rows}) == 18
