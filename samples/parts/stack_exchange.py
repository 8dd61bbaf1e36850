"""Makes the Stack Exchange part of the sample. Some sites are a .7z, others are a Posts.xml in a folder.

Dumps write rows in two styles (``<row />`` and ``<row></row>``) and tags in two styles. The sample has both.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from . import material
from .containers import seven_zip, write

GLOBS = ("*.7z", "*/Posts.xml")


def make(place: Path) -> None:
    """Writes the source into the folder ``place``."""
    for path in material.files("stack_exchange"):
        site = path.stem
        found = list(material.blocks("stack_exchange", path.name))
        style, posts = found[0][0], found[1:]
        data = posts_xml(posts, style)
        if style["packed"]:
            seven_zip(place / f"{site}.7z", "Posts.xml", data)
        else:
            write(place / site / "Posts.xml", data)


def posts_xml(posts: list[tuple[dict[str, Any], str]], style: dict[str, Any]) -> bytes:
    """Returns a dump's Posts.xml with one row per post. The post's HTML is escaped in an attribute."""
    end = "></row>" if style["closing_tags"] else " />"
    rows = "".join(f"  <row {_attributes(head, body, style)}{end}\n" for head, body in posts)
    mark = "\ufeff" if style["byte_order_mark"] else ""
    return f'{mark}<?xml version="1.0" encoding="utf-8"?>\n<posts>\n{rows}</posts>\n'.encode()


def _attributes(head: dict[str, Any], body: str, style: dict[str, Any]) -> str:
    """Returns a post's attributes in the order of the dumps."""
    kinds = {"question": 1, "answer": 2, "excerpt": 4, "wiki": 5, "nomination": 6}
    number = head.get("id")
    day, minute = 1 + (number or 0) % 27, (number or 0) * 7 % 60
    values: dict[str, Any] = {
        "Id": number,
        "PostTypeId": kinds[head["kind"]],
        "AcceptedAnswerId": head.get("accepted"),
        "ParentId": head.get("parent"),
        "CreationDate": f"2019-03-{day:02d}T14:{minute:02d}:09.450",
        "Score": head.get("score", 0),
        "ViewCount": 137 if head["kind"] == "question" else None,
        "Body": body + "\n",
        "OwnerUserId": head.get("user", 3),
        "LastActivityDate": f"2019-04-{day:02d}T09:{minute:02d}:41.210",
        "Title": head.get("title"),
        "Tags": _tags(head["tags"], style) if "tags" in head else None,
        "CommentCount": 0,
        "ContentLicense": style.get("licence"),
    }
    return " ".join(f'{name}="{_escaped(str(value))}"' for name, value in values.items() if value is not None)


def _tags(tags: list[str], style: dict[str, Any]) -> str:
    return "|" + "|".join(tags) + "|" if style["tag_style"] == "bars" else "".join(f"<{tag}>" for tag in tags)


def _escaped(text: str) -> str:
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")
    return text.replace("\r", "&#xD;").replace("\n", "&#xA;").replace("\t", "&#x9;")
