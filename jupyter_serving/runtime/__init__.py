"""What runs inside a replica, in the model's own environment.

This directory is copied next to a model's environment as the package ``serving_runtime`` and started with that
environment's Python (3.9 or later). It needs nothing but the standard library and what the model brings (MLflow,
pandas), uses uvloop where it is installed, and never imports the rest of jupyter-serving.

Processes: zygote.py (one per environment, its imports done, forks replicas), replica.py (the leader of one replica;
nursery.py says where its workers come from, pressure.py which of them has to end before memory runs out), keeper.py
(loads the model once, forks workers; burden.py proves that it may), front.py (HTTP), worker.py.

A request: connection.py and http1.py (bytes), dispatch.py with grouping.py and deadlines.py (which worker, with which
others), link.py and frames.py (the way there), slot.py (the worker's loop), scoring.py (MLflow's own answers), v2.py
(Open Inference Protocol).

What is checked at load: learning.py (may fastpath.py answer, with plain.py in and results.py out), batching.py (may
requests be predicted together); verdicts.py remembers both.
"""
