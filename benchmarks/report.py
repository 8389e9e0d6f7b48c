"""Results as tables: for a terminal, and in Markdown for `docs/performance.md`."""

from __future__ import annotations

from typing import Any

COLUMNS = (
    "",
    "cold [s]",
    "warm [s]",
    "yardstick [s]",
    "ratio",
    "CPU ratio",
    "peak [GB]",
    "anonymous [GB]",
    "runs",
)
ERRORS = ("totals", "totals_sigma", "totals_in_sigma", "covariance", "field", "sigma")


def terminal(result: dict[str, Any]) -> str:
    """A few lines for people."""
    rows = result["rows"]
    width = max(len(name) for name in rows) + 2
    out = [f"{result['case']}: {result['about']}", _sizes(result), ""]
    out.append(f"{'':<{width}}" + "".join(f"{name:>15}" for name in COLUMNS[1:]))
    out += [f"{name:<{width}}" + "".join(f"{v:>15}" for v in figures(row)) for name, row in rows.items()]
    out += ["", *_notes(rows), *(_target(target) for target in result["targets"])]
    return "\n".join(line for line in out if line is not None) + "\n"


def figures(row: dict[str, Any]) -> list[str]:
    """The numbers of a row, in the order of `COLUMNS`."""
    keys = ("cold_s", "warm_s", "yardstick_s", "ratio", "cpu_ratio", "peak_gb", "anonymous_gb")
    return [*(number(row.get(key)) for key in keys), str(len(row["warm_runs_s"]))]


def number(value: float | None) -> str:
    """Three digits that count."""
    return "–" if value is None else f"{value:.3g}"


def _sizes(result: dict[str, Any]) -> str:
    sizes = result["sizes"]
    threads = f"{result['threads']} threads"
    if not sizes:
        return threads
    return (
        f"n = {sizes['n']:,}, m = {sizes['m']:,} ({sizes['hours']:,} h × {sizes['cells']:,} cells), "
        f"{sizes['stations']} stations, {sizes['non_zeros']:,} non-zeros: "
        f"{sizes['share']:.2%} of (cell, hour) pairs; {threads}"
    )


def _notes(rows: dict[str, Any]) -> list[str]:
    """Errors, stages and the machine's limits, a line per contestant."""
    out = []
    for name, row in rows.items():
        if row.get("errors"):
            found = ", ".join(f"{key} {row['errors'][key]:.1e}" for key in ERRORS if key in row["errors"])
            out.append(f"  {name}, relative to the reference: {found}")
        if row.get("figures"):
            out.append(f"  {name}: " + ", ".join(f"{k} {v:.4g}" for k, v in row["figures"].items()))
        if row.get("stages"):
            out.append(f"  {name}, seconds of stages: " + stages(row))
        if row.get("gemm_gflops"):
            limits = f"{row['gemm_gflops']:.0f} GFlop/s in GEMM, {row['copy_gbytes']:.1f} GB/s in copies"
            out.append(f"  {name}, the machine beside it: {limits}")
    return [*out, ""] if out else []


def stages(row: dict[str, Any]) -> str:
    """Stages that take a hundredth of the time or more."""
    total = sum(stage["s"] for stage in row["stages"].values())
    parts = []
    for name, stage in row["stages"].items():
        if stage["s"] >= 0.01 * total:
            speed = f" at {stage['gflops']:.1f} GFlop/s" if "gflops" in stage else ""
            parts.append(f"{name} {stage['s']:.2f} ({stage['s'] / total:.0%}{speed})")
    return ", ".join(parts)


def _target(target: dict[str, Any]) -> str:
    sign = "≥" if target["at_least"] else "≤"
    verdict = "met" if target["met"] else "MISSED"
    return f"  {target['what']}: {target['found']:.3g} (target {sign} {target['limit']:.3g}): {verdict}"


def markdown(results: list[dict[str, Any]]) -> str:
    """Two tables: targets, and figures of contestants."""
    out = ["| case | what | found | target | |", "|---|---|---|---|---|"]
    for result in results:
        for target in result["targets"]:
            sign = "≥" if target["at_least"] else "≤"
            verdict = "met" if target["met"] else "**missed**"
            cells = (
                result["case"],
                target["what"],
                f"{target['found']:.3g}",
                f"{sign} {target['limit']:.3g}",
            )
            out.append("| " + " | ".join((*cells, verdict)) + " |")
    out += ["", "| case | contestant | " + " | ".join(COLUMNS[1:]) + " |", "|---" * (len(COLUMNS) + 1) + "|"]
    for result in results:
        for name, row in result["rows"].items():
            out.append("| " + " | ".join((result["case"], name, *figures(row))) + " |")
    return "\n".join(out) + "\n"
