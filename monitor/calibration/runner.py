"""All cities of a calibration, in several processes, so that a run that was cut off goes on where it was.

Each finished city is one line of a JSON-lines file, written and flushed before the next is waited for.  The
file is named after everything that its numbers depend on: the network, the seed and the code.  The number of
cities is not among them: more can be added later.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from pathlib import Path
from typing import Any, Final

import monitor
from monitor.calibration.bench import Bench
from monitor.calibration.experiments import EVERY, EXPERIMENTS, refusals
from monitor.calibration.network import Network
from monitor.calibration.worlds import stream

#: Makes the network, in each process anew.
Maker = Callable[[], Network]
Progress = Callable[[int, int], None]
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


def run(
    maker: Maker,
    *,
    twins: int,
    seed: int,
    file: Path,
    processes: int = PROCESSES,
    progress: Progress | None = None,
    experiments: Sequence[str] = tuple(EXPERIMENTS),
) -> list[dict[str, Any]]:
    """The records of cities 0 … `twins` − 1, in their order; those already in `file` are not done again."""
    done = read_records(file)
    wanted = [city for city in range(twins) if city not in done]
    say = progress or (lambda *_: None)
    say(twins - len(wanted), twins)
    if wanted:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("a", encoding="utf-8") as out:
            for record in _new_records(
                maker, wanted, partial(one_city, seed=seed, names=experiments), processes
            ):
                out.write(as_line(record))
                out.flush()
                done[record["city"]] = record
                say(sum(city < twins for city in done), twins)
    return [done[city] for city in range(twins)]


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
    records = [json.loads(line) for line in text[:whole].splitlines()]
    return {record["city"]: record for record in records}


def one_city(
    bench: Bench, city: int, *, seed: int, names: Sequence[str] = tuple(EXPERIMENTS)
) -> dict[str, Any]:
    """The experiments `names` on one city, but those that the network cannot be put to."""
    refused = refusals(bench.network)
    streams = partial(stream, seed, city)
    due = [name for name in names if name not in refused and city % EVERY.get(name, 1) == 0]
    return {"city": city} | {name: EXPERIMENTS[name](bench, streams) for name in due}


def _new_records(
    maker: Maker, cities: list[int], work: Callable[[Bench, int], dict[str, Any]], processes: int
) -> Iterator[dict[str, Any]]:
    if processes == 1 or len(cities) == 1:
        bench = Bench(maker())
        for city in cities:
            yield work(bench, city)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, context, initializer=_prepare, initargs=(maker,)) as pool:
        waiting = [pool.submit(_on_bench, work, city) for city in cities]
        try:
            for future in as_completed(waiting):
                yield future.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _prepare(maker: Maker) -> None:
    global _bench
    _bench = Bench(maker())


def _on_bench(work: Callable[[Bench, int], dict[str, Any]], city: int) -> dict[str, Any]:
    assert _bench is not None
    return work(_bench, city)
