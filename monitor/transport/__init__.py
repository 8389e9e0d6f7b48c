"""From fluxes at the ground to mole fractions at the inlet: footprints, their operators, the inflow."""
