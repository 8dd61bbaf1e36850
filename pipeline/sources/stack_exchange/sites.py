"""Finds the site of a dump from the name of its file or folder, and chooses the sites to take."""

from __future__ import annotations

import re
from collections.abc import Mapping

# The name of a dump may have more after the host (``ai.stackexchange.com.2017``, ``stackoverflow.com-Posts``,
# ``..._part1``).
_NETWORK = re.compile(
    r"(?:[a-z0-9-]+\.)*?(?:(?:stackexchange|stackoverflow|serverfault|superuser|askubuntu|stackapps)\.com|mathoverflow\.net)"
    r"(?![a-z0-9])"
)
_HOST = re.compile(r"[a-z0-9](?:[a-z0-9-]*\.)+[a-z]{2,}")
_TABLE = re.compile(r"-(?:Badges|Comments|PostHistory|PostLinks|Posts|Tags|Users|Votes)\Z")

OTHER_TABLES = frozenset(
    {"Badges", "Comments", "PostHistory", "PostLinks", "PostTypes", "Sites", "Tags", "Users", "Votes"}
)
"""The tables of a dump that have no posts."""


def site_of(name: str) -> str | None:
    """Returns the host of a site from the name of a file or folder (without ``.7z``); None if the name contains no
    host.

    >>> site_of("stackoverflow.com-Posts"), site_of("ai.stackexchange.com.2017"), site_of("dumps")
    ('stackoverflow.com', 'ai.stackexchange.com', None)
    """
    name = name.lower()
    network = _NETWORK.match(name)
    if network:
        return network[0]
    name = re.sub(r"-posts\Z", "", name)
    return name if _HOST.fullmatch(name) else None


def other_table(name: str) -> bool:
    """True if a name belongs to a table without posts (``stackoverflow.com-Votes``, ``Comments``).

    >>> other_table("stackoverflow.com-Votes"), other_table("Comments"), other_table("stackoverflow.com-Posts")
    (True, True, False)
    """
    return name in OTHER_TABLES or bool(_TABLE.search(name) and not name.endswith("-Posts"))


def is_meta(site: str) -> bool:
    """True if a site is a meta site, such as ``meta.stackoverflow.com`` or ``french.meta.stackexchange.com``. A meta
    site is about another site.

    >>> is_meta("meta.datascience.stackexchange.com"), is_meta("metaphysics.stackexchange.com")
    (True, False)
    """
    return "meta" in site.split(".")[:-2]


def largest_sites(num_posts: Mapping[str, int], *, num_sites: int, with_meta: bool) -> frozenset[str]:
    """Returns the ``num_sites`` sites with the most posts. Meta sites are among them only if ``with_meta`` is True.

    If two sites have equally many posts, the first in alphabetical order is preferred, as in the example.

    >>> sorted(largest_sites({"a.com": 2, "b.com": 9, "meta.b.com": 9}, num_sites=1, with_meta=True))
    ['b.com']
    """
    eligible = [site for site in num_posts if with_meta or not is_meta(site)]
    return frozenset(sorted(eligible, key=lambda site: (-num_posts[site], site))[:num_sites])
