"""How far a long calculation is: told to a callable, or shown on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")

#: What is called with the steps done and all steps.
Progress = Callable[[int, int], None]


@contextmanager
def shown(what: str, progress: Progress | None = None) -> Iterator[Progress]:
    """`progress` itself, or a bar on standard error where that is a terminal, gone when the work is done."""
    if progress is not None:
        yield progress
        return
    if not sys.stderr.isatty():
        yield _nowhere
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bars(*columns, console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task(what, total=None)

        def show(done: int, total: int) -> None:
            bars.update(task, completed=done, total=total)

        yield show


def tracked(what: str, items: Sequence[T]) -> Iterator[T]:
    """The items one after another, counted on a terminal."""
    with shown(what) as done:
        for count, item in enumerate(items, start=1):
            yield item
            done(count, len(items))


def _nowhere(done: int, total: int) -> None:
    """Nobody looks."""
