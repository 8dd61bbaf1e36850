"""Makes keys by which URLs of pages are compared. Two spellings of one page's URL have the same key."""

from __future__ import annotations

import re
from urllib.parse import quote, unquote, urlsplit

_SAFE = "!$&'()*+,;=:@/~"
_TRACKING = re.compile(r"^(?:utm_[a-z]+|fbclid|gclid|gclsrc|dclid|msclkid|mc_[ce]id|igshid)(?:=|$)", re.IGNORECASE)
_PLAIN_HOST = re.compile(r"https?://([a-z0-9-]+(?:\.[a-z0-9-]+)*)(?:/[!-Z^-~]*)?")
"""Matches a simple address, whose host is found without parsing: the host is in lower case, and there are no brackets.
"""
_DEFAULT_PORTS = frozenset({"80", "443"})


def url_key(url: str) -> str:
    """Returns the key of an address: the part that identifies its page. The result is empty if the address has no host.

    The key has no scheme, ``www.``, default port, fragment, tracking parameters or final slash. The host is in lower
    case and ASCII, and percent escapes are unified.

    >>> url_key("HTTP://www.Example.org:80/a%7eb/?utm_source=x&id=3#top"), url_key("https://example.org/a~b?id=3")
    ('example.org/a~b?id=3', 'example.org/a~b?id=3')
    >>> url_key("http://bücher.example/ä"), url_key("//[broken"), url_key("https://example.org")
    ('xn--bcher-kva.example/%C3%A4', '', 'example.org')
    """
    try:
        parts = urlsplit(url.strip())
        host, port = _host(parts.hostname), parts.netloc.rpartition(":")[2] if ":" in parts.netloc else ""
    except ValueError:
        return ""
    if not host:
        return ""
    place = host + (f":{port}" if port.isdigit() and port not in _DEFAULT_PORTS else "")
    path = quote(unquote(parts.path, errors="surrogateescape"), safe=_SAFE, errors="surrogateescape").rstrip("/")
    query = "&".join(part for part in parts.query.split("&") if part and not _TRACKING.match(part))
    return place + path + (f"?{query}" if query else "")


def site_of(url: str) -> str:
    """Returns the host of an address without ``www.``. The result is empty if the address has no host.

    >>> site_of("https://www.Example.org:443/a"), site_of("http://[broken"), site_of("no address")
    ('example.org', '', '')
    """
    plain = _PLAIN_HOST.fullmatch(url)
    if plain is not None:
        return plain[1].removeprefix("www.")
    try:
        return _host(urlsplit(url.strip()).hostname)
    except ValueError:
        return ""


def _host(host: str | None) -> str:
    if not host:
        return ""
    host = host.rstrip(".").removeprefix("www.")
    if not host.isascii():
        try:
            host = host.encode("idna").decode("ascii")
        except UnicodeError:
            return host.lower()
    return host.lower()
