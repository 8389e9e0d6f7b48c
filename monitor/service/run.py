"""What the steps of a run share: its options, its context, and what it says in the end."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from monitor.archive import Archive, utcnow
from monitor.config import CityConfig, ClaimsConfig, claims_path, load_city, load_claims
from monitor.domain import Interval
from monitor.service.inputs import window_of
from monitor.service.ledger import Ledger
from monitor.service.taken import Failure

if TYPE_CHECKING:
    from monitor.service.analysis import Analysis

Progress = Callable[[str], None]
Analyse = Callable[..., "Analysis"]


@dataclass(frozen=True)
class RunOptions:
    """How an interval is run.

    Parameters
    ----------
    window_days : float, optional
        Data used back from the interval's end [d]; the interval itself if absent.
    keep_going : bool
        Go on without bad files as long as the required inputs are there; otherwise a bad file of a source
        with role "inversion", or a bad inventory, ends the run before anything is stored.
    again : bool
        Do every step again, even a done one.
    skip : frozenset of Path
        Files not to read now, because they are still being written.
    lease : timedelta
        How long a step may take before another process may take it over.
    as_of : date, optional
        The day of the evaluation, not before the interval's end; if absent that of the data.
    analyse : callable, optional
        Instead of `monitor.service.analysis.analyse`.
    """

    window_days: float | None = None
    keep_going: bool = False
    again: bool = False
    skip: frozenset[Path] = frozenset()
    lease: timedelta = timedelta(hours=2)
    clock: Callable[[], datetime] = utcnow
    progress: Progress | None = None
    as_of: date | None = None
    analyse: Analyse | None = None


@dataclass(frozen=True)
class RunOutcome:
    """What a run says; `steps` is step → "done" or "done before", `family` the claims' rate of error."""

    city: str
    interval: Interval
    verdicts: Mapping[str, Mapping[str, Any]]
    inventories: Mapping[str, Mapping[str, Any]]
    sources: Sequence[Mapping[str, Any]]
    figures: Mapping[str, Any]
    warnings: tuple[str, ...]
    report: Path
    steps: Mapping[str, str]
    failures: tuple[Failure, ...] = ()
    family: Mapping[str, Any] = field(default_factory=dict)

    @property
    def exit_code(self) -> int:
        """0, or that of the first file that could not be used."""
        return self.failures[0].error.exit_code if self.failures else 0

    def as_json(self) -> dict[str, Any]:
        """The outcome as one JSON-ready object."""
        from monitor.publish.content import clean

        shown = {
            "city": self.city,
            "interval": self.interval.as_json(),
            "verdicts": self.verdicts,
            "family": self.family,
            "sources": self.sources,
            "inventories": self.inventories,
            "figures": self.figures,
            "warnings": self.warnings,
            "failures": [failure.as_dict() for failure in self.failures],
            "steps": self.steps,
            "report": self.report,
        }
        cleaned: dict[str, Any] = clean(shown)
        return cleaned


@dataclass(frozen=True)
class Run:
    """Everything the steps of one run share."""

    archive: Archive
    ledger: Ledger
    city: CityConfig
    claims: ClaimsConfig | None
    interval: Interval
    data_root: Path
    workdir: Path
    options: RunOptions
    steps: dict[str, str] = field(default_factory=dict)

    @property
    def window(self) -> Interval:
        return window_of(self.interval, self.options.window_days)

    @property
    def city_id(self) -> str:
        return self.city.city.id

    @property
    def place(self) -> tuple[str, Interval, date | None]:
        """City, interval and day of evaluation: what the keys of its results are made of."""
        return self.city_id, self.interval, self.options.as_of

    def say(self, text: str) -> None:
        """Tell whoever watches what is going on."""
        if self.options.progress is not None:
            self.options.progress(text)


def load_configuration(config_path: Path) -> tuple[CityConfig, ClaimsConfig | None]:
    """The city and its claims; None without a claims file."""
    claims_file = claims_path(config_path)
    return load_city(config_path), load_claims(claims_file) if claims_file.exists() else None


def open_archive(workdir: Path, clock: Callable[[], datetime] = utcnow) -> Archive:
    """The archive of a working folder."""
    return Archive.open(workdir / "archive", clock=clock)
