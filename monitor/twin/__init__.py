"""Synthetic cities with a known truth, written in the real file formats."""

from monitor.twin.city import Truth, write_city
from monitor.twin.settings import TwinSettings

__all__ = ["Truth", "TwinSettings", "write_city"]
