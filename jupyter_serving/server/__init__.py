"""The Jupyter Server extension: authenticate, authorise, forward; it holds no state.

``app`` is what Jupyter loads, ``handlers`` its routes, ``forward`` the way to the controller and the gateway,
``starting`` the start of the controller on first use, ``kernels`` what kernels are told.
"""
