"""A published page as a tree, and the numbers in it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

VOID = {"meta", "link", "br", "col", "hr", "img", "input"}
UNITS = "%|tonnes|million|t CO|t CH|kg|ppm|ppb|µmol|nmol|mol|km|m above|MB|kB|σ|° ?[NSEW]|°|t a year|kt|Mt"
#: A number with a unit, however its thousands are set apart; not a level (95 %, 1σ).
WITH_UNIT = re.compile(rf"(?!1σ)[−+-]?\d[\d. ]*\s?(?:× 10[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+ )?(?:{UNITS})(?! (?:interval|level))")


@dataclass
class Node:
    """An element with its attributes, its text in order, and its ancestors."""

    tag: str
    attributes: dict[str, str]
    parent: Node | None
    children: list[Node | str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(c if isinstance(c, str) else c.text for c in self.children)

    def lineage(self) -> list[Node]:
        return [self, *(self.parent.lineage() if self.parent else [])]

    def all(self) -> list[Node]:
        return [self, *(n for c in self.children if isinstance(c, Node) for n in c.all())]

    def within(self, *, tag: str = "", **attributes: str) -> Node | None:
        """The nearest ancestor (or itself) with that tag and with words of these attributes."""
        for node in self.lineage():
            words = {k: node.attributes.get(k.rstrip("_").replace("_", "-"), "").split() for k in attributes}
            if (not tag or node.tag == tag) and all(v in words[k] for k, v in attributes.items()):
                return node
        return None


class Tree(HTMLParser):
    """A page as a tree of nodes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.root = self._at = Node("", {}, None)
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        node = Node(tag, {k: v or "" for k, v in attrs}, self._at)
        self._at.children.append(node)
        if tag not in VOID:
            self._at = node

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        self._at.children.append(Node(tag, {k: v or "" for k, v in attrs}, self._at))

    def handle_endtag(self, tag: str) -> None:
        while self._at.tag != tag:
            assert self._at.parent is not None, f"</{tag}> closes nothing"
            self._at = self._at.parent
        assert self._at.parent is not None
        self._at = self._at.parent

    def handle_data(self, data: str) -> None:
        self._at.children.append(data)


def plain(text: str) -> str:
    return " ".join(text.replace("\u00a0", " ").replace("\u202f", " ").split())


def stray_numbers(root: Node) -> list[str]:
    """Numbers with a unit that are neither an estimate nor say what else they are."""
    found = []
    for node in root.all():
        if node.within(tag="style") or node.within(tag="svg") or node.within(tag="title"):
            continue
        for text in (c for c in node.children if isinstance(c, str)):
            inside = node.within(class_="estimate") or any(
                "data-number" in n.attributes for n in node.lineage()
            )
            found += [] if inside else WITH_UNIT.findall(plain(text))
    return found


def estimates(root: Node) -> list[Node]:
    return [n for n in root.all() if n.within(class_="estimate") is n and n.tag == "data"]
