"""Tests the host of an address: for a simple address, the fast way gives the same host as a parser."""

from __future__ import annotations

from urllib.parse import urlsplit

from hypothesis import example, given
from hypothesis import strategies as st

from filters.urls import _host, site_of

PARTS = st.sampled_from(
    ["http", "https", "ftp", "://", ":", "/", "www.", "www", ".", "a", "example", "B\u00fccher", ".org", "-", "@", "[",
     "]", "?", "#", "80", "%41", " ", "\t", "\n", "\\", "\u2100"]
)  # fmt: skip


def parsed(url: str) -> str:
    try:
        return _host(urlsplit(url.strip()).hostname)
    except ValueError:
        return ""


@given(
    st.one_of(
        st.lists(PARTS, max_size=12).map("".join), st.lists(PARTS, max_size=9).map(lambda p: "http://" + "".join(p))
    )
)
@example("http://www.www.example.org/a@b?c#d:e")
@example("https://example.org/[")
@example("http://example.org\n")
def test_a_host_that_needs_no_parsing_is_that_of_parsing(url: str) -> None:
    assert site_of(url) == parsed(url)
