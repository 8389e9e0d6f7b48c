"""How much earlier looks knew of a claim: what a refit of their observations alone says."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from test_claims import EPOCHS, posterior, quantity  # noqa: F401 - the fixture

from monitor.compare.estimator import Variant, estimator
from monitor.compare.information import information_at

DAYS = [timedelta(days=d) for d in (2, 4, 7)]


@pytest.mark.parametrize("epochs", [("before", "after"), ("after",)], ids=["change", "level"])
def test_the_information_of_a_look_is_that_of_a_refit_to_its_observations(posterior, epochs):  # noqa: F811
    asked, main = quantity(epochs), Variant("main", posterior)
    found = information_at(asked, main, DAYS)
    whole = estimator(asked, main, "one")
    contrast = asked.made.contrast(whole.gain @ whole.residual, whole.covariance)
    start = posterior.problem.table.start
    for days, known in zip(DAYS, found, strict=True):
        seen = np.zeros(start.size, dtype=bool)
        for name in epochs:
            first = EPOCHS[name].start64
            seen |= (start >= first) & (start < first + np.timedelta64(days))
        if epochs == ("after",):  # what came before the period is known at all of its looks
            seen |= start < EPOCHS["after"].start64
        part = replace(main, posterior=posterior.on(posterior.problem.select(np.flatnonzero(seen))))
        assert known == pytest.approx(1 / (contrast @ estimator(asked, part, "one").covariance @ contrast))
    assert (np.diff(found) > 0).all()


def test_a_look_before_anything_is_seen_knows_nothing(posterior):  # noqa: F811
    assert information_at(quantity(), Variant("main", posterior), [timedelta(0), DAYS[-1]])[0] == 0.0
