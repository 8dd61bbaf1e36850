"""Tests the report in a real browser. The page is opened from a file, without a network."""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.report.build import write_report

pytestmark = pytest.mark.slow
Make = Callable[..., Path]
Opened = Callable[..., Any]


@pytest.fixture
def open_page(browser: Any) -> Iterator[Opened]:
    """Yields a function that opens a page. After the test, the console must be empty, and the page must have made no
    request.
    """
    contexts, faults = [], []

    def opened(path: str, *, width: int = 1200, dark: bool = False, at: str = "") -> Any:
        scheme = "dark" if dark else "light"
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: faults.append(message.text))
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("dialog", lambda dialog: faults.append(dialog.message))
        local = ("file://", "blob:")  # a blob is a file that the page itself makes, to be saved
        page.on("request", lambda request: request.url.startswith(local) or faults.append(request.url))
        page.goto(Path(path).absolute().as_uri() + at)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert faults == []


def texts(page: Any, selector: str) -> list[str]:
    return page.eval_on_selector_all(selector, "found => found.map(one => one.textContent)")


def dropped_ids(page: Any) -> list[str]:
    return texts(page, ".doc.fell .id")


def search(page: Any, text: str) -> None:
    page.fill("input[name=text]", text)
    page.wait_for_timeout(250)


def test_filters_and_search(make_run: Make, pages: Any, open_page: Opened) -> None:
    page = open_page(write_report(str(make_run({"common_crawl": pages, "c4": pages}))))
    assert page.inner_text("#samples-status") == "28 dropped documents in 6 groups"
    page.select_option("select[name=source]", "common_crawl")
    page.select_option("select[name=reason]", "min_length: too_short")
    page.wait_for_timeout(250)
    assert dropped_ids(page) == [f"s{n}" for n in (5, 4, 3, 2, 1, 0)]
    assert page.inner_text("#samples-list h3") == "common_crawl · min_length: too_short"
    page.click("button[type=reset]")
    page.wait_for_timeout(100)
    page.select_option("select[name=language]", "de")
    page.wait_for_timeout(250)
    assert dropped_ids(page) == ["d0", "d1"] * 2
    page.click("button[type=reset]")
    search(page, "ODD PAGE 3")
    assert dropped_ids(page) == ["t3"] * 2
    said = "2 dropped documents and 0 kept documents in 2 groups have “ODD PAGE 3”, in 2 places"
    assert page.inner_text("#samples-status") == said
    assert texts(page, "mark.hit") == ["Odd page 3"] * 2
    page.select_option("select[name=source]", "c4")
    page.wait_for_timeout(250)
    said = "1 dropped document and 0 kept documents in 1 group have “ODD PAGE 3”, in 1 place"
    assert page.inner_text("#samples-status") == said
    search(page, "kept page number 4")
    said = "0 dropped documents and 1 kept document in 3 groups have “kept page number 4”, in 1 place"
    assert page.inner_text("#samples-status") == said, "a document that stands beside several groups is one document"
    page.select_option("select[name=source]", "")
    search(page, "nowhere at all")
    said = "0 dropped documents and 0 kept documents in 0 groups have “nowhere at all”, in 0 places"
    assert page.inner_text("#samples-status") == said
    assert dropped_ids(page) == []


def test_what_is_chosen_can_be_linked_to(make_run: Make, pages: Any, open_page: Opened) -> None:
    path = write_report(str(make_run({"common_crawl": pages, "c4": pages})))
    page = open_page(path)
    page.select_option("select[name=source]", "common_crawl")
    page.select_option("select[name=sort]", "far")
    search(page, "Short")
    chosen = page.evaluate("location.hash")
    assert chosen == "#read?source=common_crawl&sort=far&text=Short"
    other = open_page(path, at=chosen)
    assert page.inner_text("#samples-status") == other.inner_text("#samples-status")
    assert dropped_ids(other) == [f"s{n}" for n in range(6)], "the farthest from the limit first"
    assert other.input_value("select[name=source]") == "common_crawl"
    top = "document.getElementById('read').getBoundingClientRect().top"
    for _ in range(50):  # a slow machine scrolls later
        if 0 <= other.evaluate(top) < 200:
            break
        other.wait_for_timeout(100)
    assert 0 <= other.evaluate(top) < 200, "it opens there"
    other.click(".permalink >> nth=0")
    other.wait_for_timeout(250)
    assert dropped_ids(other) == ["s0"]
    other.go_back()
    other.wait_for_timeout(250)
    assert dropped_ids(other) == [f"s{n}" for n in range(6)]
    other.click("button[type=reset]")
    other.wait_for_timeout(100)
    assert other.evaluate("location.hash") == "#read"
    strange = open_page(path, at="#read?source=nowhere&no_field=1&text=%3Cb%3E")
    assert strange.input_value("select[name=source]") == ""
    assert strange.inner_text("#samples-status").endswith("in 0 groups have “<b>”, in 0 places")


def test_what_is_chosen_can_be_saved(make_run: Make, describe: dict[str, Any], open_page: Opened) -> None:
    formula = describe["Dropped"]("=1+1", "min_length", "too_short", "5", {"num_chars": 5.0}, 'He said "a,\nb"')
    kept = describe["Kept"]("k", "A kept page.", "en", {"num_chars": 300.0})
    page = open_page(write_report(str(make_run({"common_crawl": describe["Part"]([kept], [formula])}))))
    with page.expect_download() as download:
        page.click("#samples-json")
    rows = json.loads(Path(download.value.path()).read_text("utf-8"))
    assert [(r["side"], r["id"], r["text"], r["value"]) for r in rows] == [
        ("dropped", "=1+1", 'He said "a,\nb"', 5.0),
        ("kept", "k", "A kept page.", 300.0),
    ]
    with page.expect_download() as download:
        page.click("#samples-csv")
    assert download.value.suggested_filename == "documents.csv"
    with Path(download.value.path()).open(encoding="utf-8", newline="") as file:
        (first, _) = csv.DictReader(file)
    assert (first["id"], first["text"]) == ("'=1+1", 'He said "a,\nb"'), "no spreadsheet runs it"
    page.select_option("select[name=side]", "kept")
    page.wait_for_timeout(250)
    with page.expect_download() as download:
        page.click("#samples-json")
    assert [r["id"] for r in json.loads(Path(download.value.path()).read_text("utf-8"))] == ["k"]


def test_a_document_opens_at_the_passage_that_decided(
    make_run: Make, describe: dict[str, Any], open_page: Opened
) -> None:
    filler = "A line that says nothing in particular, and 𝄞 says it twice.\n" * 100
    text = f"{filler}function () {{ return 1; }}\n{filler}"
    dropped = describe["Dropped"]("d", "c4_lines", "curly_bracket", "", {}, text)
    dropped.url, dropped.title, dropped.date = "https://a.example/page", "A page", "2019-04-18T10:52:03Z"
    part = describe["Part"]([describe["Kept"]("k", "A kept page.")], [dropped])
    page = open_page(write_report(str(make_run({"c4": part}))))
    assert texts(page, ".doc.fell mark.why") == ["function () { return 1; }"]
    assert page.evaluate(
        "(() => { const m = document.querySelector('.doc.fell mark').getBoundingClientRect(),"
        " b = document.querySelector('.doc.fell pre').getBoundingClientRect();"
        " return m.top >= b.top && m.bottom <= b.bottom; })()"
    ), "the mark is in sight"
    before = text.index("function") - 400
    assert texts(page, ".doc.fell .cut")[0] == f"… {before:,} characters before\n"
    assert texts(page, ".doc.fell .title") == ["A page"]
    assert texts(page, ".doc.fell .url") == ["https://a.example/page"]
    assert "2019-04-18" in texts(page, ".doc.fell .about")[0]
    assert page.locator("select[name=host] option").all_inner_texts() == ["all", "a.example"]


def test_a_reason_in_the_funnel_leads_to_its_documents(make_run: Make, pages: Any, open_page: Opened) -> None:
    page = open_page(write_report(str(make_run({"common_crawl": pages}))))
    page.click("text=tail_perplexity >> nth=0")
    page.wait_for_timeout(250)
    assert dropped_ids(page) == [f"t{n}" for n in range(6)]


def test_a_reason_that_was_chosen_by_keyboard_takes_the_focus_along(
    make_run: Make, pages: Any, open_page: Opened
) -> None:
    page = open_page(write_report(str(make_run({"common_crawl": pages}))))
    page.focus("text=tail_perplexity >> nth=0")
    page.keyboard.press("Enter")
    page.wait_for_timeout(250)
    assert page.evaluate("document.activeElement.id") == "read-h"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.name") == "source"


def test_the_length_of_a_beginning_and_the_way_back_to_the_top(
    make_run: Make, describe: dict[str, Any], open_page: Opened
) -> None:
    dropped = [describe["Dropped"]("d", "near_dedup", "near_duplicate", "k", text="x" * 20_000)]
    part = describe["Part"]([describe["Kept"]("k", "y" * 30_000)], dropped)
    page = open_page(write_report(str(make_run({"books": part}))), width=390)
    shown = texts(page, ".doc header")
    assert "the first 20,000 characters" in shown[0]
    assert "kept in its place: k" in shown[0]
    assert "30,000 characters" in shown[1]
    assert "and what is not stored" in texts(page, ".doc.fell pre .cut")[-1]
    with page.expect_download() as saving:
        page.click("#samples-csv")
    with Path(saving.value.path()).open(encoding="utf-8", newline="") as file:
        sizes = [(row["id"], row["characters"], row["characters_stored"]) for row in csv.DictReader(file)]
    assert sizes == [("d", "", "20000"), ("k", "30000", "30000")]
    page.click(".to-top")
    assert page.evaluate("location.hash") == "#verdict"


def test_pages_of_samples(make_run: Make, pages: Any, open_page: Opened) -> None:
    page = open_page(write_report(str(make_run({"common_crawl": pages}))))
    assert len(dropped_ids(page)) == 12
    page.focus("#samples-more")
    page.keyboard.press("Enter")
    assert len(dropped_ids(page)) == 14
    assert page.is_hidden("#samples-more")
    assert page.evaluate("document.activeElement.tagName") == "PRE", "the reader stands where the new ones begin"


def test_a_hostile_document_stays_text(make_run: Make, describe: dict[str, Any], open_page: Opened) -> None:
    texts_ = [
        "<script>window.hacked = 1; alert(1)</script>",
        "</script><script>window.hacked = 2</script>",
        '<img src="x" onerror="window.hacked = 3"><svg onload="window.hacked = 4">',
        '<a href="https://evil.example/">link</a><iframe src="https://evil.example/"></iframe>',
    ]
    dropped = [describe["Dropped"](text, "min_length", "too_short", text, {"num_chars": 9.0}, text) for text in texts_]
    part = describe["Part"]([describe["Kept"](t, t, t, {"num_chars": 300.0}) for t in texts_], dropped, {texts_[0]: 1})
    page = open_page(write_report(str(make_run({"common_crawl": part}))))
    page.wait_for_timeout(300)
    assert page.evaluate("window.hacked") is None
    assert sorted(texts(page, ".doc.fell pre")) == sorted(texts_)
    assert sorted(texts(page, ".doc.kept pre")) == sorted(texts_)
    assert page.locator("img, iframe, object, embed, main a[href^=http]").count() == 0


def test_what_the_policy_refuses_is_refused(make_run: Make, pages: Any, browser: Any) -> None:
    context = browser.new_context(offline=True)
    page = context.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.goto(Path(write_report(str(make_run({"common_crawl": pages})))).absolute().as_uri())
    page.evaluate("document.body.append(Object.assign(document.createElement('script'), {text: 'window.hacked = 5'}))")
    page.evaluate("document.body.append(Object.assign(document.createElement('img'), {src: 'https://evil.example/x'}))")
    page.wait_for_timeout(200)
    assert page.evaluate("window.hacked") is None
    assert len(said) == 2
    assert all("Content Security Policy" in line for line in said)
    context.close()


@pytest.mark.parametrize("width", [390, 1200])
@pytest.mark.parametrize("dark", [False, True])
def test_it_fits_the_screen_in_both_themes(
    make_run: Make, pages: Any, open_page: Opened, width: int, dark: bool
) -> None:
    page = open_page(write_report(str(make_run({"common_crawl": pages, "c4": pages}))), width=width, dark=dark)
    assert page.evaluate("document.documentElement.scrollWidth") <= width, "nothing is wider than the screen"
    back, ink = page.evaluate(
        "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]"
    )
    assert (luminance(back) < 0.2) is dark
    shown = (
        *("body", ".note", ".facts dt", "figcaption", ".doc .tag", ".right", "nav a", "thead th", ".tone.good"),
        *(".doc .about", ".doc .id", ".permalink", ".reasons .note", ".rules dd .note", ".linkish"),
    )
    for selector in shown:
        colour = page.eval_on_selector(selector, "one => getComputedStyle(one).color")
        ground = page.eval_on_selector(
            selector,
            "one => { for (let e = one; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor;"
            " if (c !== 'rgba(0, 0, 0, 0)') return c; } return 'rgb(255, 255, 255)'; }",
        )
        assert contrast(colour, ground) >= 4.5, (selector, colour, ground)
    assert contrast(ink, back) > 10


def test_on_a_phone_the_funnel_stands_whole(make_run: Make, pages: Any, open_page: Opened) -> None:
    page = open_page(write_report(str(make_run({"common_crawl": pages}))), width=390)
    assert page.locator("table.stack").count() >= 3, "the mixture, the funnel, the inputs"
    wide = page.eval_on_selector("#source-0 .bar", "one => one.getBoundingClientRect().width")
    assert wide > 330, "a bar has the whole width"
    cells = "table.stack tbody th, table.stack tbody td, table.stack button"
    edges = page.eval_on_selector_all(cells, "found => found.map(one => one.getBoundingClientRect().right)")
    assert len(edges) > 40
    assert max(edges) <= 390, "nothing to be scrolled to"
    tree = page.locator("#source-0").aria_snapshot()
    assert 'rowheader "min_length"' in tree, "it is a table still for who does not see it"
    assert 'cell "kept 14"' in tree
    assert 'img "min_length: 20 in, 14 kept, 6 lost"' in tree
    assert page.locator("button:has-text('too_short') >> nth=0").is_visible()


def luminance(colour: str) -> float:
    parts = [int(p) / 255 for p in colour[colour.index("(") + 1 : -1].split(",")[:3]]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_it_can_be_used_with_a_keyboard_and_read_aloud(make_run: Make, pages: Any, open_page: Opened) -> None:
    page = open_page(write_report(str(make_run({"common_crawl": pages}))))
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    tree = page.locator("body").aria_snapshot()
    assert "- navigation" in tree
    assert "- main" in tree
    assert 'heading "The mixture" [level=2]' in tree
    assert 'img "Distribution of perplexity: kept: 6' in tree
    assert 'columnheader "kept"' in tree
    named = page.eval_on_selector_all(
        "select, input, button", "found => found.every(one => one.labels?.length || one.textContent.trim())"
    )
    assert named
    assert page.locator("h1").count() == 1
    ids = page.eval_on_selector_all("[id]", "found => found.map(one => one.id)")
    assert len(ids) == len(set(ids))
    links = page.eval_on_selector_all("a[href^='#']", "found => found.map(a => a.getAttribute('href').slice(1))")
    assert {target.split("?")[0] for target in links} <= set(ids)


def test_what_a_checker_of_accessibility_looks_for(make_run: Make, pages: Any, open_page: Opened) -> None:
    """Checks the rules that the accessibility checker axe calls critical or serious, as far as they apply to this
    page.
    """
    page = open_page(write_report(str(make_run({"common_crawl": pages, "c4": pages}))))
    faults = page.evaluate(
        """() => {
            const faults = [], all = (s) => [...document.querySelectorAll(s)];
            const name = (e) => (e.getAttribute("aria-label") || e.textContent || "").trim();
            if (!document.documentElement.lang) faults.push("no language");
            for (const e of all("a, button, summary")) if (!name(e)) faults.push("no name: " + e.outerHTML);
            for (const e of all("[role=img], svg")) if (!name(e)) faults.push("no text: " + e.outerHTML.slice(0, 80));
            for (const e of all("select, input")) if (!e.labels.length) faults.push("no label: " + e.name);
            for (const e of all("[aria-labelledby]"))
                for (const id of e.getAttribute("aria-labelledby").split(" "))
                    if (!document.getElementById(id)) faults.push("labelled by nothing: " + id);
            for (const e of all("[aria-hidden=true] a, [aria-hidden=true] button")) faults.push("hidden: " + name(e));
            for (const e of all("ul, ol")) for (const c of e.children)
                if (c.tagName !== "LI") faults.push(c.tagName + " in a list");
            for (const e of all("dl")) for (const c of e.children)
                if (!["DT", "DD", "DIV"].includes(c.tagName)) faults.push(c.tagName + " in a dl");
            for (const e of all("table")) if (!e.querySelector("th")) faults.push("a table without headings");
            let level = 0;
            for (const e of all("h1, h2, h3, h4")) {
                const own = Number(e.tagName[1]);
                if (own > level + 1) faults.push("a level is skipped before " + name(e));
                level = own;
            }
            for (const e of all("pre"))
                if (e.scrollHeight > e.clientHeight && e.tabIndex < 0) faults.push("no focus: pre");
            const twins = all("a").map((a) => name(a) + " " + a.getAttribute("href"));
            const to = {};
            for (const twin of twins) {
                const cut = twin.lastIndexOf(" "), words = twin.slice(0, cut), href = twin.slice(cut + 1);
                if (to[words] && to[words] !== href) faults.push("two targets of one name: " + words);
                to[words] = href;
            }
            return faults;
        }"""
    )
    assert faults == []


def test_it_can_be_printed(make_run: Make, pages: Any, open_page: Opened) -> None:
    page = open_page(write_report(str(make_run({"common_crawl": pages}))))
    page.emulate_media(media="print")
    assert page.is_hidden("nav")
    assert page.is_hidden("form")
    assert page.is_visible("figure svg >> nth=0")
    assert len(page.pdf()) > 20_000


def test_ten_thousand_samples_stay_quick(make_run: Make, describe: dict[str, Any], open_page: Opened) -> None:
    words = "river stone bridge water letter garden winter morning "
    dropped = [
        describe["Dropped"](
            f"d{n}",
            "min_length",
            f"reason_{n % 100}",
            str(n % 300),
            {"num_chars": float(n % 300)},
            f"number {n} {words * 9}",
        )
        for n in range(10_000)
    ]
    part = describe["Part"]([describe["Kept"]("k", "kept", "en", {"num_chars": 300.0})], dropped)
    page = open_page(write_report(str(make_run({"common_crawl": part}))))
    assert page.inner_text("#samples-status") == "10,000 dropped documents in 100 groups"
    started = time.monotonic()
    took_ms = page.evaluate(
        """async () => {
            const field = document.querySelector('input[name=text]'), begun = performance.now();
            field.value = 'number 9999 ';
            field.form.requestSubmit();
            return performance.now() - begun;
        }"""
    )
    assert dropped_ids(page) == ["d9999"]
    assert took_ms < 200, "from the key to the page"
    assert time.monotonic() - started < 5
    assert page.locator("*").count() < 20_000, "what is not shown is not in the page"
