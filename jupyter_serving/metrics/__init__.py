"""Measuring: ``window`` holds what is counted in memory, for the gateway and the controller alike."""

from .window import Histogram, RateWindow

__all__ = ["Histogram", "RateWindow"]
