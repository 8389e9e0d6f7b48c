"""One name for every way to solve."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, overload

from monitor.errors import InputError
from monitor.inversion.linear import LinearPosterior, LinearProblem, solve_observations, solve_state

if TYPE_CHECKING:
    from monitor.inversion.hyper import Hyperparameters
    from monitor.inversion.posterior import Posterior
    from monitor.inversion.problem import InverseProblem

METHODS = ("auto", "observations", "exact", "state", "reduced")
LIKELIHOODS = ("gaussian", "student-t")
Likelihood = Literal["gaussian", "student-t"]


@overload
def solve(
    problem: LinearProblem,
    method: str = "auto",
    *,
    likelihood: Likelihood = "gaussian",
    degrees_of_freedom: float = 4.0,
) -> LinearPosterior: ...
@overload
def solve(
    problem: InverseProblem, method: str = "auto", *, fitted: Hyperparameters | None = None
) -> Posterior: ...
def solve(
    problem: Any,
    method: str = "auto",
    *,
    likelihood: Likelihood = "gaussian",
    degrees_of_freedom: float = 4.0,
    fitted: Hyperparameters | None = None,
) -> Any:
    """Solve a linear problem, or one made from datasets.

    Parameters
    ----------
    problem : LinearProblem or InverseProblem
    method
        "observations" (or "exact"): by Ψ (n, n), exact for any number of unknowns.  "state": by the
        information matrix, exact, for independent errors and m below n.  "reduced": H Q Hᵀ in a basis of
        smooth fields, with its error measured and stated in `truncation`; for many cells.  "auto" takes
        what is exact, and "reduced" only where the exact way would cost far more.
    likelihood
        "student-t" gives the independent part of the mismatch heavy tails, with `degrees_of_freedom`, so
        that outliers lose their weight; see `monitor.inversion.robust`.
    fitted
        Hyperparameters of an `InverseProblem`, if they are known already.

    Raises
    ------
    InputError, NumericalError
    """
    if method not in METHODS:
        raise InputError(f"no method '{method}'", expected=", ".join(METHODS))
    if likelihood not in LIKELIHOODS:
        raise InputError(f"no likelihood '{likelihood}'", expected=", ".join(LIKELIHOODS))
    if not isinstance(problem, LinearProblem):
        return _solve_datasets(problem, likelihood, fitted)
    if fitted is not None:
        raise InputError(
            "fitted belongs to a problem from datasets", remedy="take problem.with_values(fitted.values)"
        )
    chosen = _best(problem) if method == "auto" else method
    if likelihood == "student-t":
        from monitor.inversion.robust import solve_student_t

        return solve_student_t(problem, degrees_of_freedom, chosen)
    return _solve_gaussian(problem, chosen)


def _solve_gaussian(problem: LinearProblem, method: str) -> LinearPosterior:
    if method == "state":
        return solve_state(problem)
    if method == "reduced":
        from monitor.inversion.reduced import solve_reduced

        return solve_reduced(problem)
    return solve_observations(problem)


def _solve_datasets(
    problem: InverseProblem, likelihood: Likelihood, fitted: Hyperparameters | None
) -> Posterior:
    from monitor.inversion.posterior import solve_problem

    if likelihood != "gaussian":
        raise InputError(
            f'likelihood="{likelihood}" is for a problem in plain arrays',
            found=type(problem).__name__,
            remedy="take problem.linear() and solve that",
        )
    return solve_problem(problem, fitted=fitted)


def _best(problem: LinearProblem) -> str:
    from monitor.inversion.covariance import Diagonal

    independent = isinstance(problem.mismatch_covariance, Diagonal)
    if independent and problem.prior_covariance.sqrt_size < problem.n / 2:
        return "state"
    return "observations"
