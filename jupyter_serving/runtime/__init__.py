"""What runs inside a replica, in the model's own environment.

This directory is copied next to a model's environment as the package ``serving_runtime`` and started with that
environment's Python (3.9 or later). It needs nothing but the standard library and what the model brings (MLflow,
pandas), uses uvloop where it is installed, and never imports the rest of jupyter-serving.

    zygote.py    one process per environment, its imports done, forks replicas
    replica.py   the leader of one replica: forks the front and the workers, replaces dead workers
    front.py     HTTP, readiness; hands each request to a free worker (dispatch.py)
    worker.py    loads the model, computes one prediction at a time (scoring.py)
"""
