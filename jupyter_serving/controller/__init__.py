"""The control plane: REST API, store, reconciler. Start reading at ``endpoints.py``."""
