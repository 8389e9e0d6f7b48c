"""From a posterior to verdicts: regions, comparability, statistics, rules, the search for sources."""
