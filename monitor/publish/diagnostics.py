"""What the diagnostics of an inversion mean, in plain sentences."""

from __future__ import annotations

import math
from collections.abc import Mapping

from monitor.publish.numbers import as_number, show, show_plain


def diagnostics_in_words(figures: Mapping[str, object]) -> list[str]:
    """What the diagnostics mean, one sentence each, for those that are known."""
    sentences: list[str] = []
    coverage, variance = as_number(figures.get("loo_coverage")), as_number(figures.get("loo_variance"))
    if coverage is not None:
        good = "as it should" if 0.92 <= coverage <= 0.98 else "which is not what an honest 95 % should give"
        sentences.append(
            "Each day was hidden in turn and predicted from the others:"
            f" {show_plain(100 * coverage)} % of the hidden values fell inside their 95 % interval, {good}"
            " (92 % to 98 % is what we ask for)."
        )
    if variance is not None:
        good = (
            "as large as" if 0.8 <= variance <= 1.2 else "smaller than" if variance < 0.8 else "larger than"
        )
        sentences.append(
            f"The errors of those predictions were {good} stated: their variance is {show_plain(variance)}"
            " times the stated one (0.8 to 1.2 is what we ask for)."
        )
    sentences += _fit_in_words(figures)
    return sentences


def _fit_in_words(figures: Mapping[str, object]) -> list[str]:
    sentences: list[str] = []
    dofs, n = as_number(figures.get("dofs")), as_number(figures.get("n_observations"))
    if dofs is not None:
        among = f" {show(n, 0)}" if n is not None else ""
        sentences.append(
            f"The{among} measurements told us about {show_plain(dofs, 2)} independent things about emissions"
            " (degrees of freedom for signal); the rest they spent on noise and inflow."
        )
    share = as_number(figures.get("background_share"))
    if share is not None:
        sentences.append(
            f"Of the variation expected in the measurements, {show_plain(100 * share, 2)} % comes from air"
            " that flows in from outside; it is estimated together with the emissions."
        )
    inflation = as_number(figures.get("inflation"))
    if inflation is not None and inflation > 1.05:  # as where the analysis warns of it
        sentences.append(
            f"All intervals were widened by the factor {show_plain(math.sqrt(inflation))}, because the"
            " predictions of hidden days missed by more than first stated."
        )
    chi2 = as_number(figures.get("chi2"))
    if chi2 is not None:
        sentences.append(
            f"χ² per measurement is {show_plain(chi2)}; tuning brings it near 1, so it proves nothing alone."
        )
    return sentences
