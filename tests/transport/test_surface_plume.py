"""The plume of the surface layer: mass is kept, a path is an integral, and no direction is special."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy.integrate import quad, trapezoid

from monitor.transport.surface_plume import (
    GAS_CONSTANT,
    Air,
    Dispersion,
    Inlets,
    enhancement,
    stability_heat,
    stability_momentum,
    wind_factor,
)

CH4 = 16.04
GRASS = Dispersion(growth=1.0, lateral=1.0, roughness_m=0.02)


def air(from_deg=270.0, speed=3.0, obukhov=-20.0, spread=0.2) -> Air:
    one = np.ones(1)
    return Air(speed * one, from_deg * one, obukhov * one, spread * one, 285.0 * one, 95_000.0 * one, 2.3)


def points(x, y, z) -> Inlets:
    x, y, z = (np.atleast_1d(np.asarray(v, dtype="f8")) for v in np.broadcast_arrays(x, y, z))
    return Inlets(x, y, x, y, z, np.zeros(x.size, dtype=int))


def path(start, end, height=1.5) -> Inlets:
    return Inlets(*(np.array([v], dtype="f8") for v in (*start, *end, height)), np.zeros(1, dtype=int))


def added(inlets: Inlets, weather: Air, source=(0.0, 0.0), dispersion=GRASS) -> np.ndarray:
    return enhancement(source, inlets, weather, dispersion, molar_mass_g_mol=CH4)


@pytest.mark.parametrize(
    ("obukhov", "tolerance"), [(-5.0, 0.06), (-50, 0.06), (1e5, 0.06), (50, 0.06), (10, 0.1)]
)
@pytest.mark.parametrize("distance", [15.0, 50.0, 100.0])
def test_what_flows_through_a_plane_is_what_was_released(obukhov, tolerance, distance):
    """∫∫ C u dy dz = 1 g min⁻¹ with the wind of each height, but for what u(0.6 z̄) is no mean of it.

    That is 6 %, and 10 % in very stable air, whose wind grows linearly.
    """
    weather = air(obukhov=obukhov)
    height = np.concatenate([[0.0], np.geomspace(0.02, 120.0, 240)])
    across = np.linspace(-6, 6, 61) * 0.2 * distance
    grid = np.meshgrid(across, height)
    ppm = added(points(distance, grid[0].ravel(), grid[1].ravel()), weather).reshape(height.size, -1)
    gram_m3 = ppm * 1e-6 * CH4 * 95_000.0 / (GAS_CONSTANT * 285.0)
    wind = 3.0 * wind_factor(height, obukhov, 0.02) / wind_factor(np.array(2.3), obukhov, 0.02)
    flux = trapezoid(trapezoid(gram_m3, across, axis=1) * wind, height) * 60.0
    assert flux == pytest.approx(1.0, rel=tolerance)


def test_the_mean_height_of_the_vertical_profile_is_that_which_was_integrated():
    """∫z C dz / ∫C dz against dz̄/dx integrated by another rule."""
    from scipy.integrate import solve_ivp

    length = -20.0

    def slope(_, z):
        u = wind_factor(1.55 * z, length, 0.02)
        return 0.4**2 / (u * stability_heat(1.55 * z / length))

    expected = solve_ivp(slope, (0.0, 40.0), [0.15], rtol=1e-8).y[0, -1]
    height = np.concatenate([[0.0], np.geomspace(1e-3, 100.0, 4000)])
    ppm = added(points(40.0, 0.0, height), air(obukhov=length))
    # the table of mean heights is linear between nodes 1/20 of a decade apart
    assert trapezoid(height * ppm, height) / trapezoid(ppm, height) == pytest.approx(expected, rel=5e-3)


@given(
    st.floats(-60, 60),
    st.floats(-60, 60),
    st.floats(-60, 60),
    st.floats(-60, 60),
    st.floats(0.0, 360.0),
    st.floats(0.05, 0.5),
)
@example(0.0, 0.3, -60.0, 0.3, 90.0, 0.2)  # the source a hand's breadth beside the path, wind along it
@example(-1.0, -60.0, -1.0, 60.0, 90.0, 0.05)  # one metre upwind of a narrow plume's path
def test_the_average_along_a_path_is_the_integral_of_points(x1, y1, x2, y2, from_deg, spread):
    """Wherever the source is, on the path too; the oracle's points lie 3 cm apart or nearer."""
    weather = air(from_deg=from_deg, spread=spread)
    share = (np.arange(4000) + 0.5) / 4000
    dense = added(points(x1 + share * (x2 - x1), y1 + share * (y2 - y1), 1.5), weather)
    assert added(path((x1, y1), (x2, y2)), weather)[0] == pytest.approx(dense.mean(), rel=0.01, abs=1e-4)


@given(st.floats(0, 360), st.floats(-80, 80), st.floats(-80, 80))
def test_turning_everything_changes_nothing(turn, x, y):
    angle = np.deg2rad(turn)
    # clockwise, as wind directions go
    turned = (x * np.cos(angle) + y * np.sin(angle), -x * np.sin(angle) + y * np.cos(angle))
    before = added(points(x, y, 2.0), air(from_deg=250.0))
    after = added(points(*turned, 2.0), air(from_deg=250.0 + turn))
    np.testing.assert_allclose(after, before, rtol=1e-6, atol=1e-12)


def test_a_turn_of_the_vane_is_a_turn_of_the_wind():
    inlets = points(40.0, 10.0, 2.0)
    turned = added(inlets, air(from_deg=250.0), dispersion=replace(GRASS, turn_deg=12.0))
    np.testing.assert_allclose(turned, added(inlets, air(from_deg=262.0)))


def test_nothing_is_added_upwind_and_half_the_wind_doubles_the_rest():
    weather = air()
    assert added(points(-20.0, 0.0, 1.0), weather)[0] == 0.0
    slow = added(points(30.0, 2.0, 1.5), replace(weather, speed_m_s=0.5 * weather.speed_m_s))
    np.testing.assert_allclose(slow, 2 * added(points(30.0, 2.0, 1.5), weather))


def test_mole_fraction_follows_the_gas_law():
    warm = replace(air(), temperature_k=np.full(1, 2 * 285.0))
    np.testing.assert_allclose(added(points(30.0, 0.0, 1.5), warm), 2 * added(points(30.0, 0.0, 1.5), air()))


@pytest.mark.parametrize("zeta", [-4.0, -0.5, 0.3, 0.9])
def test_the_wind_profile_is_the_integral_of_its_gradient(zeta):
    """ψ(ζ) = ∫ (1 − φ_m)/ζ dζ with φ_m = (1 − 16 ζ)^−¼ or 1 + 5 ζ (Paulson 1970)."""

    def integrand(z):
        phi = (1 - 16 * z) ** -0.25 if z < 0 else 1 + 5 * z
        return (1 - phi) / z

    low, high = sorted((np.sign(zeta) * 1e-9, zeta))
    expected = quad(integrand, low, high)[0] * np.sign(zeta)
    assert float(stability_momentum(np.array(zeta))) == pytest.approx(expected, abs=1e-6)
