"""One name for every way to solve."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

import numpy as np

from monitor.errors import InputError
from monitor.inversion.linear import LinearPosterior, LinearProblem, solve_observations, solve_state

if TYPE_CHECKING:
    from monitor.inversion.hyper import Hyperparameters
    from monitor.inversion.positivity import PositivePosterior
    from monitor.inversion.posterior import Posterior
    from monitor.inversion.problem import InverseProblem

#: Numbers in H from which "auto" reduces H Q Hᵀ.
_LARGE = 1_000_000_000
METHODS = ("auto", "observations", "exact", "state", "reduced")
EXACT = ("auto", "observations", "exact")
LIKELIHOODS = ("gaussian", "student-t")
POSITIVITIES = ("truncated", "lognormal")
Likelihood = Literal["gaussian", "student-t"]
Positivity = Literal["truncated", "lognormal"]
Stated = Literal["mean", "median"]
Solved = TypeVar("Solved")


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
    problem: LinearProblem | InverseProblem,
    method: str = "auto",
    *,
    positivity: Positivity,
    positive: np.ndarray | slice | Collection[str] | None = None,
    stated: Stated | None = None,
    draws: int = 2000,
    seed: int = 0,
    fitted: Hyperparameters | None = None,
) -> PositivePosterior: ...
@overload
def solve(
    problem: InverseProblem,
    method: str = "auto",
    *,
    likelihood: Likelihood = "gaussian",
    degrees_of_freedom: float = 4.0,
    fitted: Hyperparameters | None = None,
) -> Posterior: ...
def solve(
    problem: Any,
    method: str = "auto",
    *,
    likelihood: Likelihood = "gaussian",
    degrees_of_freedom: float = 4.0,
    positivity: Positivity | None = None,
    positive: Any = None,
    stated: Stated | None = None,
    draws: int = 2000,
    seed: int = 0,
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
        what is exact, and "reduced" only where the exact way would cost far more and a basis is good
        enough.  An `InverseProblem` is
        solved exactly.
    likelihood
        "student-t" gives the independent part of the mismatch heavy tails, with `degrees_of_freedom`, so
        that outliers lose their weight; see `monitor.inversion.robust`.
    positivity
        "truncated": the Gaussian posterior restricted to x ≥ 0.  "lognormal": the logarithm of x is Gaussian.
        Both give a `PositivePosterior` of at least `draws` draws, the least number that gives all chains one
        length; see `monitor.inversion.positivity`.
    positive : mask (m,), slice or indices; names of blocks of an `InverseProblem`
        The unknowns that are positive; all if absent, of an `InverseProblem` all fluxes.
    stated : "mean" or "median"
        What the prior mean of a log-normal unknown is; it must be said.
    fitted
        Hyperparameters of an `InverseProblem`, if they are known already.

    Raises
    ------
    InputError, NumericalError
    """
    _known("method", method, METHODS)
    _known("likelihood", likelihood, LIKELIHOODS)
    _ensure_problem(problem)
    plain = isinstance(problem, LinearProblem)
    if plain and fitted is not None:
        raise InputError(
            "fitted belongs to a problem from datasets", remedy="take problem.with_values(fitted.values)"
        )
    if positivity is None:
        if positive is not None or stated is not None:
            raise InputError("positive and stated need a positivity", expected=", ".join(POSITIVITIES))
        if plain:
            return _solve_linear(problem, method, likelihood, degrees_of_freedom)
        return _solve_datasets(problem, method, likelihood, degrees_of_freedom, fitted)
    if likelihood != "gaussian":
        raise InputError(
            f'positivity="{positivity}" and likelihood="{likelihood}" are solved one after the other',
            remedy="take robust.reweighted(problem, posterior.weights), and positivity with that",
        )
    if not plain:  # drawn from the problem in plain arrays, at the scales of the Gaussian one
        positive = problem.mask(() if positive is None else positive)
        problem = problem.linear(_values(problem, fitted))
    return _by(
        method, problem, lambda p, way: _solve_positive(p, way, positivity, positive, stated, (draws, seed))
    )


def _solve_linear(
    problem: LinearProblem, method: str, likelihood: Likelihood, degrees_of_freedom: float
) -> LinearPosterior:
    if likelihood == "gaussian":
        return _by(method, problem, _solve_gaussian)
    from monitor.inversion.robust import solve_student_t

    return _by(method, problem, lambda p, way: solve_student_t(p, degrees_of_freedom, way))


def _by(method: str, problem: LinearProblem, answer: Callable[[LinearProblem, str], Solved]) -> Solved:
    """The answer by a method; by "auto" exactly where errors are too small for a basis of smooth fields."""
    way = _best(problem) if method == "auto" else method
    if way != "reduced":
        return answer(problem, way)
    from monitor.inversion.reduced import NoBasisError

    try:
        return answer(problem, way)
    except NoBasisError:
        if method == "auto":
            return answer(problem, "observations")
        raise


def _solve_positive(
    problem: LinearProblem,
    method: str,
    positivity: Positivity,
    positive: np.ndarray | slice | None,
    stated: Stated | None,
    sampling: tuple[int, int],
) -> PositivePosterior:
    from monitor.inversion.lognormal import solve_lognormal
    from monitor.inversion.positivity import chosen_unknowns
    from monitor.inversion.truncated import solve_truncated

    _known("positivity", positivity, POSITIVITIES)
    mask = chosen_unknowns(positive, problem.m)
    if sampling[0] < 2:
        raise InputError("a posterior needs draws", expected="draws of 2 or more", found=f"{sampling[0]}")
    if positivity == "lognormal":
        if stated not in ("mean", "median"):
            raise InputError(
                "the prior mean of a log-normal unknown must be said to be its mean or its median",
                expected='stated="mean" or stated="median"',
                found=f"stated={stated!r}",
                remedy="an inventory's best guess is often a median, its total a mean",
            )
        return solve_lognormal(
            problem, mask, stated, lambda linear: _solve_gaussian(linear, method), sampling
        )
    if stated is not None:
        raise InputError('stated belongs to positivity="lognormal"', found=f"stated={stated!r}")
    return solve_truncated(_solve_gaussian(problem, method), mask, *sampling)


def _ensure_problem(problem: Any) -> None:
    from monitor.inversion.problem import InverseProblem

    if not isinstance(problem, (LinearProblem, InverseProblem)):
        solved = hasattr(problem, "problem")
        raise InputError(
            "solve takes a problem",
            expected="LinearProblem or InverseProblem",
            found=type(problem).__name__,
            remedy="solve posterior.problem" if solved else "inv.LinearProblem(jacobian, observations, …)",
        )


def _known(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise InputError(f"no {name} '{value}'", expected=", ".join(known))


def _solve_gaussian(problem: LinearProblem, method: str) -> LinearPosterior:
    if method == "state":
        return solve_state(problem)
    if method == "reduced":
        from monitor.inversion.reduced import solve_reduced

        return solve_reduced(problem)
    return solve_observations(problem)


def _solve_datasets(
    problem: InverseProblem,
    method: str,
    likelihood: Likelihood,
    degrees_of_freedom: float,
    fitted: Hyperparameters | None,
) -> Posterior:
    from monitor.inversion.posterior import solve_problem, solve_robust

    if method not in EXACT:
        raise InputError(
            "a problem from datasets is solved exactly, by its observations",
            expected=", ".join(EXACT),
            found=method,
            remedy=f'solve the same problem in plain arrays: inv.solve(problem.linear(), "{method}")',
        )
    if likelihood == "student-t":
        return solve_robust(problem, degrees_of_freedom, fitted=fitted)
    return solve_problem(problem, fitted=fitted)


def _values(problem: InverseProblem, fitted: Hyperparameters | None) -> np.ndarray:
    from monitor.inversion.posterior import fit_scales

    return (fitted or fit_scales(problem)).values


def _best(problem: LinearProblem) -> str:
    from monitor.inversion.covariance import Diagonal

    independent = isinstance(problem.mismatch_covariance, Diagonal)
    few = problem.m < problem.n / 2  # asked first: the root of a large grid is dear
    if independent and few and problem.prior_covariance.sqrt_size < problem.n / 2:
        return "state"
    from monitor.inversion.reduced import is_large

    # below this the exact way takes a second or two
    large = is_large(problem.prior_covariance) and problem.m * problem.n > _LARGE
    return "reduced" if large else "observations"
