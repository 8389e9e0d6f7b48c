"""One name for every way to solve."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, overload

from monitor.errors import InputError
from monitor.inversion.linear import LinearPosterior, LinearProblem, solve_observations, solve_state

if TYPE_CHECKING:
    from monitor.inversion.posterior import Posterior
    from monitor.inversion.problem import InverseProblem

METHODS = ("auto", "observations", "exact", "state", "reduced")


@overload
def solve(problem: LinearProblem, method: str = "auto", **choices: Any) -> LinearPosterior: ...
@overload
def solve(problem: InverseProblem, method: str = "auto", **choices: Any) -> Posterior: ...
def solve(problem: Any, method: str = "auto", **choices: Any) -> Any:
    """Solve a linear problem, or one made from datasets.

    Parameters
    ----------
    problem : LinearProblem or InverseProblem
    method
        "observations" (or "exact"): by Ψ (n, n), exact for any number of unknowns.  "state": by the
        information matrix, exact, for independent errors and m below n.  "reduced": H Q Hᵀ in a basis of
        smooth fields, with its error measured and stated in `truncation`; for many cells.  "auto" takes
        what is exact, and "reduced" only where the exact way would cost far more.
    **choices
        ``likelihood="student-t"``, ``positivity="truncated"`` or ``"lognormal"`` (see
        `monitor.inversion.robust` and `monitor.inversion.positivity`); ``fitted=`` hyperparameters of an
        `InverseProblem`.

    Raises
    ------
    InputError, NumericalError
    """
    if method not in METHODS:
        raise InputError(f"no method '{method}'", expected=", ".join(METHODS))
    if not isinstance(problem, LinearProblem):
        from monitor.inversion.posterior import solve_problem

        return solve_problem(problem, **choices)
    if choices:
        raise InputError(f"unknown choice {', '.join(choices)}")
    if method == "auto":
        method = _best(problem)
    if method == "state":
        return solve_state(problem)
    if method == "reduced":
        from monitor.inversion.reduced import solve_reduced

        return solve_reduced(problem)
    return solve_observations(problem)


def _best(problem: LinearProblem) -> str:
    from monitor.inversion.covariance import Diagonal

    independent = isinstance(problem.mismatch_covariance, Diagonal)
    if independent and problem.prior_covariance.sqrt_size < problem.n / 2:
        return "state"
    return "observations"
