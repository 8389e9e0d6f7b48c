"""How fast, how much memory, how exact: `python -m benchmarks CASE [--json]`, or `make bench ARGS=CASE`.

Cases on generated cities (`worlds`) set contestants (`contestants`) against each other and against the
targets (`cases`); classes with `params`, `setup(size)` and `time_…(size)` methods are timed as they are.
`docs/performance.md` says what the columns mean and holds the figures.
"""
