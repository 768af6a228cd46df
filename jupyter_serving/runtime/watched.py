"""The model as MLflow's code sees it, which remembers how a prediction ended."""

from __future__ import annotations

import inspect
from typing import Any, Callable, Dict, Optional


class Watched:
    """Stands before a pyfunc model.

    ``outcome``: "unasked", "raised" (``error`` is the exception) or "returned" (``result`` is the type's name).
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        self._known: Optional[Callable[[], Any]] = None
        self.outcome = "unasked"
        self.error: Optional[BaseException] = None
        self.result = ""
        # MLflow asks the signature of predict whether it takes params.
        takes_params = "params" in inspect.signature(model.predict).parameters
        self.predict: Callable[..., Any] = self._with_params if takes_params else self._without

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def forget(self, known: Optional[Callable[[], Any]] = None) -> None:
        """Begin a new request; ``known`` returns or raises what the model has already answered to it."""
        self._known = known
        self.outcome, self.error, self.result = "unasked", None, ""

    @property
    def itself(self) -> Any:
        """The model."""
        return self._model

    def forget_known(self) -> None:
        """What was given to ``forget`` holds for one request, and must not be kept longer."""
        self._known = None

    def failed(self, error: BaseException) -> None:
        """Note a failure of a prediction that was not asked for through here."""
        self.outcome, self.error = "raised", error

    def _with_params(self, data: Any, params: Optional[Dict[str, Any]] = None) -> Any:
        return self._run(lambda: self._model.predict(data, params=params))

    def _without(self, data: Any) -> Any:
        return self._run(lambda: self._model.predict(data))

    def _run(self, predict: Callable[[], Any]) -> Any:
        try:
            result = (self._known or predict)()
        except BaseException as error:
            self.outcome, self.error = "raised", error
            raise
        self.outcome, self.result = "returned", type(result).__name__
        return result
