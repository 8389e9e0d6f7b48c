"""Terms of the page in plain words, in the order a reader meets them."""

from __future__ import annotations

GLOSSARY: tuple[tuple[str, str], ...] = (
    (
        "Supported, contradicted, undecided, not comparable",
        "The four possible answers to a claim. Supported: the measurements agree with it and rule"
        " out its opposite."
        " Contradicted: they rule it out. Undecided: they allow both. Not comparable: the claim"
        " and the measurement"
        " are about different things, so no number could decide.",
    ),
    (
        "95 % interval",
        "The range that holds the true value in 95 of 100 such statements. A number without its interval says"
        " nothing about how far it can be trusted.",
    ),
    (
        "Level, and look",
        "How many of 100 such intervals hold the true value. A claim that is looked at several times has"
        " wider intervals, with a level above 95 %, so that all looks together err no more often than one.",
    ),
    (
        "Margin",
        "What the whole interval of a claim of “at least” must lie beyond. It keeps a change that is real but"
        " far smaller than the claim from supporting it.",
    ),
    (
        "Detectable change",
        "The smallest true change that this network would find in 8 of 10 cases. A smaller one may be real"
        " and still unseen.",
    ),
    (
        "Mole fraction",
        "How many of a million (ppm) or a billion (ppb) molecules of dry air are of the gas.",
    ),
    (
        "Background",
        "The gas that the air already carries when it arrives. What the region itself adds comes on top.",
    ),
    (
        "Flux",
        "How much gas enters the air from a square metre of ground in a second. Below zero, the"
        " ground takes gas up.",
    ),
    (
        "Footprint",
        "The area whose emissions a measurement can feel, worked out from the wind of the hours before.",
    ),
    (
        "Prior and posterior",
        "The prior is the best guess before looking at the air, mostly an inventory, with a"
        " generous uncertainty."
        " The posterior is what is left of it after the measurements have spoken.",
    ),
    (
        "Bottom-up and top-down",
        "Bottom-up: emissions added up from fuel, traffic and factories, as an inventory does."
        " Top-down: emissions worked out from what is measured in the air.",
    ),
    (
        "Share from the air",
        "By how much the measurements narrowed the uncertainty: 0 means the number is still the first guess,"
        " 1 that it comes from the air alone. A vague guess drives it to 1, so it decides nothing by itself.",
    ),
    (
        "Response",
        "How much of a true change the estimate would show. At 1 it shows all of it.",
    ),
    (
        "Degrees of freedom for signal",
        "How many independent facts about emissions the measurements carry together.",
    ),
    (
        "Bayes factor",
        "How many times better the claimed kind of change explains the measurements than no change at all.",
    ),
    (
        "Ensemble",
        "The same question asked with other reasonable choices of method. If the answer hangs on"
        " one choice, it is"
        " not given as certain.",
    ),
    (
        "False alarm",
        "How often a search like this one would report a source where there is none.",
    ),
    (
        "Digest",
        "A fingerprint of an input: if one byte of it were different, so would be the digest.",
    ),
)
