"""How often verdicts are right: synthetic cities whose truth is known, judged as any other."""
