"""All cities of a calibration, in several processes, so that a run that was cut off goes on where it was.

What is done of a city is a line of a JSON-lines file, written and flushed before the next is waited for.  The
file is named after everything that its numbers depend on: the network, the seed and the code.  Cities and
experiments are not among them: more can be added later.  A line says of what network and seed it is, and by
which code each experiment was done: results of other code may be taken over, and are then told apart.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from pathlib import Path
from typing import Any, Final

import monitor
from monitor.calibration.bench import Bench
from monitor.calibration.experiments import EVERY, EXPERIMENTS, refusals
from monitor.calibration.network import Network
from monitor.calibration.worlds import stream
from monitor.errors import InputError

#: Makes the network, in each process anew.
Maker = Callable[[], Network]
Progress = Callable[[int, int], None]
Work = Callable[[Bench, int, list[str]], dict[str, Any]]
PROCESSES: Final = 2
_bench: Bench | None = None


def results_file(folder: Path, network: str, seed: int) -> Path:
    """Where the cities of a network (by its digest) and seed are kept."""
    key = hashlib.sha256(f"{network} {seed} {code_digest()}".encode()).hexdigest()
    return folder / f"{key[:16]}.jsonl"


def code_digest() -> str:
    """SHA-256 over all modules of the package."""
    root = Path(monitor.__file__).parent
    found = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        found.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes() + b"\0")
    return found.hexdigest()


def code_name() -> str:
    """The code by the first digits of its digest."""
    return code_digest()[:12]


def label(network: str, seed: int) -> str:
    """Of what a line is: a network by its digest, and a seed."""
    return f"network {network[:12]}, seed {seed}"


def run(
    maker: Maker,
    *,
    twins: int,
    seed: int,
    file: Path,
    of: str = "",
    known: Mapping[int, dict[str, Any]] | None = None,
    processes: int = PROCESSES,
    progress: Progress | None = None,
    experiments: Sequence[str] = tuple(EXPERIMENTS),
) -> list[dict[str, Any]]:
    """The records of cities 0 … `twins` − 1, in their order.

    Experiments that are in `file`, or in the records `known` of an earlier run, are not done again.

    Parameters
    ----------
    of
        The label that is written to each line.
    """
    done = {city: record for city, record in (known or {}).items() if city < twins}
    done = merged(done, read_records(file))
    wanted = {
        city: names for city in range(twins) if (names := _lacking(done.get(city, {}), city, experiments))
    }
    say = progress or (lambda *_: None)
    say(twins - len(wanted), twins)
    if wanted:
        file.parent.mkdir(parents=True, exist_ok=True)
        code, left = code_name(), len(wanted)
        with file.open("a", encoding="utf-8") as out:
            for found in _new_records(maker, wanted, partial(one_city, seed=seed), processes):
                own = {name: code for name in found if name in EXPERIMENTS}
                record = {"city": found["city"], "of": of, "code": own} | found
                out.write(as_line(record))
                out.flush()
                done = merged(done, {record["city"]: record})
                left -= 1
                say(twins - left, twins)
    return [done.get(city, {"city": city, "of": of, "code": {}}) for city in range(twins)]


def merged(
    first: Mapping[int, dict[str, Any]], second: Mapping[int, dict[str, Any]]
) -> dict[int, dict[str, Any]]:
    """What either holds of each city; of an experiment that both hold, the second."""
    out = dict(first)
    for city, record in second.items():
        before = out.get(city, {})
        out[city] = before | record | {"code": before.get("code", {}) | record.get("code", {})}
    return out


def as_line(record: dict[str, Any]) -> str:
    """A record as one line."""
    return json.dumps(record, allow_nan=False, separators=(",", ":")) + "\n"


def read_records(file: Path) -> dict[int, dict[str, Any]]:
    """The cities in a file by number; a last line that was cut off is taken away from it."""
    if not file.exists():
        return {}
    text = file.read_bytes()
    whole = text.rfind(b"\n") + 1
    if whole < len(text):
        with file.open("r+b") as out:
            out.truncate(whole)
    found: dict[int, dict[str, Any]] = {}
    for line in text[:whole].splitlines():
        record = json.loads(line)
        found = merged(found, {record["city"]: record})
    return found


def earlier_records(file: Path, of: str) -> dict[int, dict[str, Any]]:
    """The records of an earlier run of the same network and seed, by whatever code.

    Raises
    ------
    InputError
        When the file is missing, or of another network or seed.
    """
    if not file.is_file():
        raise InputError("the results of an earlier run are missing", found=str(file))
    found = read_records(file)
    others = sorted({str(record.get("of", "")) for record in found.values()} - {of})
    if others:
        raise InputError(
            "results of another network or seed", expected=of, found=others[0] or "no label", where=str(file)
        )
    return found


def _lacking(record: Mapping[str, Any], city: int, names: Sequence[str]) -> list[str]:
    """Which of the experiments are still to be done on a city."""
    return [name for name in names if name not in record and city % EVERY.get(name, 1) == 0]


def one_city(bench: Bench, city: int, names: Sequence[str], *, seed: int) -> dict[str, Any]:
    """The experiments `names` on one city, but those that the network cannot be put to."""
    refused = refusals(bench.network)
    streams = partial(stream, seed, city)
    return {"city": city} | {name: EXPERIMENTS[name](bench, streams) for name in names if name not in refused}


def _new_records(maker: Maker, wanted: Mapping[int, list[str]], work: Work, processes: int) -> Iterator[Any]:
    if processes == 1 or len(wanted) == 1:
        bench = Bench(maker())
        for city, names in wanted.items():
            yield work(bench, city, names)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, context, initializer=_prepare, initargs=(maker,)) as pool:
        waiting = [pool.submit(_on_bench, work, city, names) for city, names in wanted.items()]
        try:
            for future in as_completed(waiting):
                yield future.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _prepare(maker: Maker) -> None:
    global _bench
    _bench = Bench(maker())


def _on_bench(work: Work, city: int, names: list[str]) -> dict[str, Any]:
    assert _bench is not None
    return work(_bench, city, names)
