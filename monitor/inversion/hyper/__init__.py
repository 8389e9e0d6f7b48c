"""Hyperparameters by their evidence: fitted with a Laplace covariance, or sampled.

`maximise_evidence` and `sample` take a `LinearProblem` (or, the first, an `InverseProblem`) and give totals
with what the hyperparameters' own uncertainty adds, kept apart.
"""

from monitor.inversion.hyper.evidence import Evidence, contract_slopes, log_evidence, log_evidence_of
from monitor.inversion.hyper.fit import Fit, MixedTotals, maximise_evidence
from monitor.inversion.hyper.optimum import Hyperparameters, maximise, neighbours
from monitor.inversion.hyper.sampling import Sample, effective_size, sample

__all__ = [
    "Evidence",
    "Fit",
    "Hyperparameters",
    "MixedTotals",
    "Sample",
    "contract_slopes",
    "effective_size",
    "log_evidence",
    "log_evidence_of",
    "maximise",
    "maximise_evidence",
    "neighbours",
    "sample",
]
