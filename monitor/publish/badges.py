"""The badge of a verdict: told apart by its word, its shape, its lightness and, last, its colour.

In shades of grey the four grounds differ by a contrast of at least 1.4 from one to the next, and every word
stands out from its ground by at least 4.5 (WCAG 2.2, 1.4.3); the tests compute both.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Badge:
    """One badge; `shape` (filled) and `mark` (stroked) are path data in a box of 20 × 20.

    `hollow`: the mark stands on the ground, not on the shape.
    """

    word: str
    style: str
    ground: str
    ink: str
    shape: str
    mark: str
    hollow: bool = False


_DISC = "M10 1a9 9 0 1 0 0 18a9 9 0 1 0 0-18z"
_OCTAGON = "M6.3 1h7.4l5.3 5.3v7.4l-5.3 5.3h-7.4l-5.3-5.3v-7.4z"
_RING = "M10 .6a9.4 9.4 0 1 0 0 18.8a9.4 9.4 0 1 0 0-18.8zM10 2.4a7.6 7.6 0 1 1 0 15.2a7.6 7.6 0 1 1 0-15.2z"
_SQUARE = "M2 2h16v16h-16z"

BADGES = {
    badge.word: badge
    for badge in (
        Badge("supported", "supported", "#00564a", "#ffffff", _DISC, "M5.6 10.4l3 3l5.8-6.6"),
        Badge("contradicted", "contradicted", "#f7a34b", "#111111", _OCTAGON, "M6.5 6.5l7 7M13.5 6.5l-7 7"),
        Badge(
            "undecided",
            "undecided",
            "#d6ebf8",
            "#0b2f47",
            _RING,
            "M7.5 7.9a2.5 2.5 0 1 1 3.7 2.2c-.8.5-1.2 1-1.2 1.8M10 14.4v.1",
            hollow=True,
        ),
        Badge(
            "not comparable",
            "not-comparable",
            "#8b9196",
            "#111111",
            _SQUARE,
            "M5 8h10M5 12.4h10M12.6 5l-5.2 10.4",
        ),
    )
}


def badge_of(word: str) -> Badge:
    """The badge of a verdict; a word that is none of the four is shown as what cannot be compared."""
    known = BADGES.get(word)
    if known is not None:
        return known
    last = BADGES["not comparable"]
    return Badge(word or "no verdict", last.style, last.ground, last.ink, last.shape, last.mark)
