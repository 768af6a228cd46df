"""Autoscaling: a pure policy over recorded inputs."""
