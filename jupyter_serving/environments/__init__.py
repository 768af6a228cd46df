"""Environments of models: what a model needs, whether the kernel has it, and staging one with uv where not."""

from .environment import Environment
from .stage import Stager

__all__ = ["Environment", "Stager"]
