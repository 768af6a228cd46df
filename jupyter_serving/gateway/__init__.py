"""The gateway: the process that every prediction passes.

``http`` parses requests, ``routes`` and ``queue`` decide (pure), ``dispatch`` and ``exchange`` act, ``upstream``
speaks to replicas, ``link`` to the controller. The gateway keeps its port and its last routes on disk (``state``) and
serves on without a controller, which it brings back (``revive``).
"""
