"""Models in MLflow: logging them from a kernel, resolving and fetching them by digest."""
