"""From files to a published answer for one city and one interval: ingest, invert, publish.

One code path for `monitor run`, `monitor backfill`, `monitor serve` and `monitor demo`.  Each step is a
key of the run ledger (city, step, interval, digest of the inputs).  Its objects are safe on the disk
first; then one transaction records them and marks the step done.  Run again, a done step is read back
from the archive, and a killed one starts over and ends in the same archive content.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import monitor
from monitor.archive import Archive, content_digest
from monitor.config import CityConfig
from monitor.domain import Interval
from monitor.errors import MissingInputError, MonitorError, UsageError
from monitor.service import intake as files
from monitor.service import months as calendar
from monitor.service.declared import (
    Archived,
    Declaration,
    archived_verdicts,
    as_declared,
    declarations_of,
    earlier,
)
from monitor.service.entries import Entry, as_document, record_entries, store_entries
from monitor.service.evaluation import family_of
from monitor.service.inputs import Inputs, ensure_sufficient, find_inputs, inputs_key, load_data, span
from monitor.service.ledger import Claim, Ledger, StepKey, process_owner
from monitor.service.logs import redact
from monitor.service.release import release_key, released, write_release
from monitor.service.run import Analyse, Run, RunOptions, RunOutcome, load_configuration, open_archive
from monitor.service.taken import Failure, Intake
from monitor.service.verdicts import as_revision, first_answer, verdict_document, verdict_key

if TYPE_CHECKING:
    from monitor.service.analysis import Analysis

STEPS = ("ingest", "invert", "publish")


def run_interval(
    config_path: Path, interval: Interval, data_root: Path, workdir: Path, options: RunOptions | None = None
) -> RunOutcome:
    """Answer for one city and one interval, from the files below `data_root`.

    Parameters
    ----------
    config_path : Path
        ``…/cities/<id>.toml``; claims stand in ``…/claims/<id>.toml``, if there are any.
    workdir : Path
        Gets archive/ and site/.

    Raises
    ------
    MonitorError
        One clear error; see the exit codes of its class.
    """
    started = time.monotonic()
    options = options or RunOptions()
    _ensure_as_of(options, interval)
    city, claims = load_configuration(config_path)
    with open_archive(workdir, options.clock) as archive:
        ledger = Ledger(archive, process_owner(), options.clock)
        run = Run(archive, ledger, city, claims, interval, data_root, workdir, options)
        intake, inputs, warnings = ingest_inputs(run)
        results = _invert(run, inputs)
        report = _publish(run, inputs, results)
    return RunOutcome(
        city=city.city.id,
        interval=interval,
        verdicts=_in_order(
            results["verdicts"], [] if claims is None else [claim.id for claim in claims.claim]
        ),
        family=results["family"],
        inventories=_in_order(results["inventories"], [inventory.id for inventory in city.inventory]),
        sources=results["sources"],
        figures=results["figures"] | {"seconds": round(time.monotonic() - started, 2)},
        warnings=tuple(dict.fromkeys([*warnings, *results["warnings"]])),
        report=report,
        steps=run.steps,
        failures=intake.failures,
    )


def _ensure_as_of(options: RunOptions, interval: Interval) -> None:
    if options.as_of is not None and options.as_of < interval.end.date():
        raise UsageError(
            "an evaluation cannot use data from after its day",
            expected=f"a day from {interval.end.date()} on",
            found=options.as_of.isoformat(),
            remedy="end the interval at the day of the evaluation (--to)",
        )


def _in_order(items: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """`items` in the order of `names`, what is not named last."""
    return {name: items[name] for name in [*names, *items] if name in items}


# --- ingest ------------------------------------------------------------------------------------------


def ingest_inputs(run: Run) -> tuple[Intake, Inputs, list[str]]:
    """Take in the files of the run's window: what was read, what the interval stands on, and warnings."""
    run.say("reading files")
    intake = files.prepare_intake(
        run.archive,
        run.city,
        run.data_root,
        files.IntakeOptions(
            tuple(calendar.months_touched(run.window)),
            run.options.clock(),
            run.options.keep_going,
            run.options.skip,
        ),
    )
    files.quarantine_failures(run.archive, intake)
    if not run.options.keep_going:
        _refuse_bad_files(run.city, intake.failures)
    whole = {
        entry.key: content_digest(entry.dataset)
        for entry in intake.entries
        if entry.kind in ("flux", "table")
    }
    inputs = find_inputs(
        run.archive, run.city, run.claims, run.interval, run.window, sheets=intake.sheets, whole=whole
    )
    if run.options.as_of is not None:
        inputs = replace(inputs, as_of=run.options.as_of.isoformat())
    try:
        warnings = [*intake.warnings, *ensure_sufficient(run.city, inputs)]
    except MissingInputError as error:
        raise intake.failures[0].error if intake.failures else error from None
    key = inputs_key(*run.place)
    manifest = Entry(key, "inputs", as_document(inputs.as_json()), run.interval, inputs.whole_digests)
    with _step(run, "ingest", inputs, output=key) as claim:
        files.commit_intake(run.archive, intake, config=inputs.config, manifest=manifest, claim=claim)
    return intake, inputs, warnings


def _refuse_bad_files(city: CityConfig, failures: Sequence[Failure]) -> None:
    """Raise the first error among inventories and sources that the inversion uses."""
    minor = {source.id for source in city.source if source.role != "inversion"}
    grave = [failure for failure in failures if failure.owner not in minor]
    if not grave:
        return
    error = grave[0].error
    if len(grave) > 1:
        others = ", ".join(failure.path.name for failure in grave[1:])
        error.remedy = "; ".join(filter(None, [error.remedy, f"{len(grave) - 1} more bad: {others}"]))
        error.args = (error._message(),)
    raise error


@contextlib.contextmanager
def _step(run: Run, step: str, inputs: Inputs, *, output: str) -> Iterator[Claim | None]:
    """The claim of a step, None when it was done before and what it made still holds under `output`."""
    key = StepKey(run.city_id, step, run.interval, inputs.digest)
    redo = run.options.again or not is_done(run.archive, run.ledger, key, output)
    claim = run.ledger.claim(key, run.options.lease, redo=redo)
    run.steps[step] = "done before" if claim is None else "done"
    try:
        yield claim
    except BaseException as error:
        if claim is not None:
            claim.failed(redact(_reason(error)))
        raise


def _reason(error: BaseException) -> str:
    """Why a step failed, for the ledger."""
    if isinstance(error, MonitorError):
        return str(error)
    name = "out of memory" if isinstance(error, MemoryError) else type(error).__name__
    return f"{name}: {error}".removesuffix(": ")


def is_done(archive: Archive, ledger: Ledger, key: StepKey, output: str) -> bool:
    """Whether the step is done and the current, fresh record under `output` is what it made."""
    row, record = ledger.find(key), archive.current(output)
    return (
        row is not None
        and row.status == "done"
        and record is not None
        and not record.stale
        and record.digest in row.outputs
    )


# --- invert ------------------------------------------------------------------------------------------


def results_key(city: str, interval: Interval, as_of: date | None = None) -> str:
    """The archive key of an interval's results."""
    return f"results/{city}/{span(interval, as_of)}"


def _invert(run: Run, inputs: Inputs) -> dict[str, Any]:
    key = results_key(*run.place)
    with _step(run, "invert", inputs, output=key) as claim:
        if claim is None:
            return _results(run)
        run.say("estimating emissions")
        data, objects = load_data(run.archive, run.city, run.window)
        archived = archived_verdicts(run.archive, run.city_id)
        declared = declarations_of(run.claims, run.city, archived)
        analysis = _analyser(run)(
            run.city,
            as_declared(run.claims, declared),
            run.window,
            data,
            as_of=run.options.as_of,
            progress=run.options.progress,
        )
        # the analysis took its time: others may have recorded verdicts
        archived = archived_verdicts(run.archive, run.city_id, archived)
        entries = _result_entries(run, inputs, analysis, objects, declared, archived)
        stored = store_entries(run.archive, entries)
        with run.archive.transaction() as tx:
            records = record_entries(tx, stored, config=inputs.config)
            claim.done(tx, sorted({record.digest for record in records.values()}))
    return _results(run)


def _results(run: Run) -> dict[str, Any]:
    """The archived results, verdicts and inventories in the order of the configuration."""
    results = read_results(run.archive, results_key(*run.place))
    claims = [] if run.claims is None else [claim.id for claim in run.claims.claim]
    inventories = [inventory.id for inventory in run.city.inventory]
    return results | {
        "verdicts": _in_order(results["verdicts"], claims),
        "inventories": _in_order(results["inventories"], inventories),
    }


def _analyser(run: Run) -> Analyse:
    if run.options.analyse is not None:
        return run.options.analyse
    from monitor.service import analysis

    analyse: Analyse = analysis.analyse
    return analyse


def read_results(archive: Archive, key: str) -> dict[str, Any]:
    """The results document under `key`; `MissingInputError` when there is none."""
    record = archive.current(key)
    if record is None:
        raise MissingInputError(
            "there are no results for this interval", found=key, remedy="run it first: `monitor run`"
        )
    results: dict[str, Any] = json.loads(archive.load_document(record.digest))
    return results


def _result_entries(
    run: Run,
    inputs: Inputs,
    analysis: Analysis,
    objects: list[dict[str, Any]],
    declared: Mapping[str, Declaration],
    archived: Sequence[Archived],
) -> list[Entry]:
    """Everything to record: the posteriors, a document a verdict, and the results as a whole."""
    from monitor.publish.content import clean

    at = span(run.interval, run.options.as_of)
    manifest = run.archive.current(inputs_key(*run.place))
    made_from = [manifest.digest if manifest else inputs.digest, *inputs.whole_digests]
    entries = [
        Entry(f"posterior/{run.city_id}/{name}/{at}", "posterior", dataset, run.interval, tuple(made_from))
        for name, dataset in sorted(analysis.posteriors.items())
    ]
    posteriors = {entry.key.split("/")[2]: content_digest(entry.dataset) for entry in entries}
    made_from += posteriors.values()
    provenance = {
        "inputs": objects,
        "input_digest": inputs.digest,
        "config_digest": inputs.config,
        "code_version": monitor.__version__,
    }
    family = family_of(as_declared(run.claims, declared), run.city)
    about = {"family": family, "made_from": provenance}
    verdicts = {}
    for claim_id, verdict in sorted(analysis.verdicts.items()):
        said = declared[claim_id].about(verdict)
        document = verdict_document(run.city_id, claim_id, run.window, said, about)
        first = first_answer(earlier(declared[claim_id].claim, run.city, archived), document)
        verdicts[claim_id] = document if first is None else as_revision(document, first)
    entries += [
        Entry(
            verdict_key(run.city_id, claim_id, at),
            "verdict",
            as_document(document),
            run.interval,
            tuple(made_from),
        )
        for claim_id, document in verdicts.items()
    ]
    results = {
        "verdicts": verdicts,
        "family": family,
        "inventories": analysis.inventories,
        "sources": analysis.sources,
        "ledgers": analysis.ledgers,
        "figures": {name: value for name, value in analysis.figures.items() if name != "seconds"},
        "warnings": [*analysis.warnings, *(d.note for d in declared.values() if d.note)],
        "posteriors": posteriors,
        "made_from": provenance,
    }
    whole = as_document(clean(results))
    key = results_key(*run.place)
    return [*entries, Entry(key, "results", whole, run.interval, tuple(made_from))]


# --- publish -----------------------------------------------------------------------------------------


def _publish(run: Run, inputs: Inputs, results: dict[str, Any]) -> Path:
    key = release_key(*run.place)
    report = released(run.archive, run.workdir, key)
    with _step(run, "publish", inputs, output=key if report else "") as claim:
        if claim is None and report is not None:
            return report
        run.say("writing the report")
        report = write_release(run, results)
        document = as_document({"report": report.relative_to(run.workdir.absolute()).as_posix()})
        results_record = run.archive.current(results_key(*run.place))
        made_from = (results_record.digest,) if results_record else ()
        stored = store_entries(run.archive, [Entry(key, "release", document, run.interval, made_from)])
        with run.archive.transaction() as tx:
            records = record_entries(tx, stored, config=inputs.config)
            if claim is not None:
                claim.done(tx, [records[key].digest])
        return report


def republish(config_path: Path, interval: Interval, workdir: Path) -> Path:
    """Write the report of the archived results again; its path.

    Raises
    ------
    MissingInputError
        When the interval has not been run.
    """
    city, claims = load_configuration(config_path)
    with open_archive(workdir) as archive:
        ledger = Ledger(archive, process_owner())
        run = Run(archive, ledger, city, claims, interval, workdir, workdir, RunOptions())
        return write_release(run, _results(run))
