"""Every setting, once, as traitlets with help; the reference page is generated from this class.

Sources, later ones win: the defaults here; ``jupyter_serving_config.py`` or ``.json`` in Jupyter's configuration
path (``c.Settings.gateway_port = 8899``); environment variables ``JUPYTER_SERVING_<SETTING>`` in capitals.
Processes that we start inherit the environment, so all of them see the same values.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from traitlets import Bool, Float, Int, TraitError, Unicode
from traitlets.config import Config, Configurable
from traitlets.config.loader import ConfigFileNotFound, JSONFileConfigLoader, PyFileConfigLoader

from .errors import InvalidParameter

ENV_PREFIX = "JUPYTER_SERVING_"
CONFIG_NAME = "jupyter_serving_config"


class Settings(Configurable):
    """All settings of controller, gateway and replicas."""

    data_dir = Unicode(
        "",
        help="Data directory: store, staged environments, models, logs. Must be on a local disk. "
        "Empty means `serving` under Jupyter's data directory. Set it in the environment: commands and kernels "
        "read it there only.",
    ).tag(config=True)
    runtime_dir = Unicode(
        "",
        help="Directory of sockets and locks: short path, local disk, mode 0700. Empty means a directory under "
        "`$XDG_RUNTIME_DIR` or the system's temporary directory. Read from the environment only.",
    ).tag(config=True)
    gateway_host = Unicode(
        "127.0.0.1",
        help="Address that the gateway listens on. Anything but loopback needs TLS in front.",
    ).tag(config=True)
    gateway_port = Int(
        0,
        help="Port of the gateway. 0 picks a free one at the first start and keeps it from then on.",
    ).tag(config=True)
    max_body_bytes = Int(
        16 * 1024 * 1024,
        help="Largest request body in bytes (16 MB); a larger one is answered with 400.",
    ).tag(config=True)
    gateway_idle_seconds = Float(
        600.0,
        help="A client's keep-alive connection without a request for this long is closed, in seconds.",
    ).tag(config=True)
    gateway_max_connections = Int(
        0,
        help="Client connections that the gateway holds at a time; beyond it the longest idle one is closed. "
        "0 derives it from the limit on open files.",
    ).tag(config=True)
    request_deadline_seconds = Float(
        297.0,
        help="One deadline per request from its arrival: queue, cold start and compute together, in seconds.",
    ).tag(config=True)
    queue_limit = Int(
        1000,
        help="Requests that may wait per served entity; one more is answered with 429 and Retry-After.",
    ).tag(config=True)
    scale_to_zero_seconds = Float(
        1800.0,
        help="Idle time after which an endpoint with scale to zero stops its replicas, in seconds.",
    ).tag(config=True)
    target_utilisation = Float(
        0.7, help="Share of the slots that the autoscaler aims to keep busy (0 to 1)."
    ).tag(config=True)
    scale_down_window_seconds = Float(
        300.0, help="Scale-down follows the maximum wanted over this window, in seconds."
    ).tag(config=True)
    stable_window_seconds = Float(
        60.0,
        help="Capacity follows the mean load of this window, in seconds (6 to 3600). Panic lasts at least as long, and "
        "after a restart of the controller nothing is given up for as long.",
    ).tag(config=True)
    panic_window_seconds = Float(
        6.0, help="The shorter window, by which bursts are seen, in seconds."
    ).tag(config=True)
    panic_threshold = Float(
        2.0,
        help="Panic, in which nothing is given up, begins when the panic window asks for so many times the ready "
        "replicas.",
    ).tag(config=True)
    max_scale_up_rate = Float(
        1000.0, help="One decision multiplies the ready replicas by at most this."
    ).tag(config=True)
    max_scale_down_rate = Float(
        2.0,
        help="One decision divides the wanted replicas by at most this (not on the way to zero).",
    ).tag(config=True)
    drain_grace_seconds = Float(
        300.0,
        help="Longest time that a replica which left the routing may finish its requests, in seconds.",
    ).tag(config=True)
    start_deadline_seconds = Float(
        600.0, help="Longest time from the start of a replica to its readiness, in seconds."
    ).tag(config=True)
    deploy_deadline_seconds = Float(
        3600.0,
        help="Longest time for a new config to become ready, in seconds; then the update fails.",
    ).tag(config=True)
    environment_zygotes = Bool(
        True,
        help="Keep one process with the imports of each environment, from which replicas are forked.",
    ).tag(config=True)
    zygote_idle_seconds = Float(
        3600.0,
        help="An environment's zygote that started nothing for this long ends (it is restarted on demand).",
    ).tag(config=True)
    zygote_memory_bytes = Int(
        0,
        help="Memory that the zygotes of all environments may hold together, in bytes; beyond it the one that was not "
        "used for longest ends. 0 means a tenth of the machine's memory, at least 1 GB.",
    ).tag(config=True)
    memory_budget_bytes = Int(
        0,
        help="Most memory that all replicas together may reserve, in bytes. 0 means all of the machine's (or of our "
        "control group's).",
    ).tag(config=True)
    memory_margin = Float(
        0.2,
        help="Share that a replica reserves beyond the most that replicas of its model were seen to hold.",
    ).tag(config=True)
    cpu_pressure_limit = Float(
        0.9,
        help="Share of the last 10 s in which something waited for a CPU beyond which no replicas are added (the "
        "kernel's pressure stall information). 1.0 switches this off.",
    ).tag(config=True)
    disk_reserve_bytes = Int(
        500_000_000,
        help="Models and environments are fetched only while so much disk is free in the data directory, in bytes "
        "(of a small disk: a twentieth of it).",
    ).tag(config=True)
    registry_idle_seconds = Float(
        120.0,
        help="The process that reads model registries (MLflow, about 150 MB) ends after so long without a deployment; "
        "the next one starts it again (about 2 s).",
    ).tag(config=True)
    allow_python_substitute = Bool(
        False,
        help="Serve a model on the nearest Python when the one that it was logged with cannot be had.",
    ).tag(config=True)
    allow_unsigned_models = Bool(
        False,
        help="Deploy models without a signature: requests are then not checked against any schema.",
    ).tag(config=True)
    return_stack_trace = Bool(
        True,
        help="Put the model's traceback into the answer when predict raises (`stack_trace`, as MLflow does).",
    ).tag(config=True)
    bare_nan = Bool(
        False,
        help="Answer NaN and infinities as the bare words that MLflow writes, which are not JSON, instead of `null`.",
    ).tag(config=True)
    batch_max_size = Int(
        32,
        help="Most requests that are predicted together where batching is on and the endpoint says nothing else.",
    ).tag(config=True)
    log_max_bytes = Int(
        10_000_000, help="A log file is rotated once when it passes this size, in bytes."
    ).tag(config=True)
    events_kept = Int(1000, help="Events kept per endpoint.").tag(config=True)
    request_log = Bool(False, help="Write a line per request to the gateway's log.").tag(
        config=True
    )

    @classmethod
    def load(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """Read files and environment; raise ``InvalidParameter`` that names the setting and its source."""
        environ = os.environ if environ is None else environ
        config = _file_config()
        settings = cls(config=config)
        for name in cls.names():
            text = environ.get(ENV_PREFIX + name.upper())
            if text:
                settings._set_from_text(name, text)
        return settings

    @classmethod
    def names(cls) -> list[str]:
        """Names of all settings, in the order of their declaration."""
        return [n for n in vars(cls) if n in cls.class_traits(config=True)]

    def _set_from_text(self, name: str, text: str) -> None:
        trait: Any = self.traits()[name]
        try:
            setattr(self, name, trait.from_string(text))
        except (TraitError, ValueError) as error:
            raise InvalidParameter(
                f"The environment variable {ENV_PREFIX}{name.upper()}={text!r} is not valid: {error}",
                hint=f"Unset it or give {trait.info()}.",
            ) from error


def _file_config() -> Config:
    from jupyter_core.paths import jupyter_config_path

    config = Config()
    for directory in reversed(jupyter_config_path()):
        for loader in (
            JSONFileConfigLoader(f"{CONFIG_NAME}.json", path=directory),
            PyFileConfigLoader(f"{CONFIG_NAME}.py", path=directory),
        ):
            try:
                config.merge(loader.load_config())
            except ConfigFileNotFound:
                continue
            except Exception as error:
                raise InvalidParameter(
                    f"{Path(directory) / loader.filename} cannot be read: {error}",
                    hint="Correct the file or move it away.",
                ) from error
    return config
