"""From the air over a city to verdicts that people can rely on.

Scientists use :mod:`monitor.inversion`; operators use the ``monitor`` command.
"""

__version__ = "0.1.0"
