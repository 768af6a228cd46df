"""Backends: where replicas run. ``base`` is the contract, ``process`` this machine without containers."""

from .base import Backend, Exit, Handle, HostCapacity, Observed, ReplicaSpec, Started

__all__ = ["Backend", "Exit", "Handle", "HostCapacity", "Observed", "ReplicaSpec", "Started"]
