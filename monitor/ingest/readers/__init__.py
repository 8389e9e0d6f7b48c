"""One file per format; each holds a ``READER`` found through the entry points ``monitor.readers``.

Every reader says its format's traps in its docstring, takes a local `Path` only, converts units and
time labels to ours, keeps every row, and refuses what it cannot understand with `SourceFormatError`.
What was odd but bearable is said in the attribute ``reader_notes`` of the dataset.
"""
