"""Synthetic cities with a known truth, written in the real file formats or held in memory."""

from monitor.twin.city import Truth, write_city
from monitor.twin.example import ExampleCity, example_city
from monitor.twin.settings import TwinSettings

__all__ = ["ExampleCity", "Truth", "TwinSettings", "example_city", "write_city"]
