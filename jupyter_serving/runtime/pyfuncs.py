"""What MLflow's wrapper of a PythonModel does with plain rows: watched once, not worked out at every call.

The wrapper (``mlflow.pyfunc.model._PythonModelPyfuncWrapper.predict``) inspects the signature and the type hints of the
user's predict for each request, which takes longer than many a model.
"""

from __future__ import annotations

import copy
import inspect
from typing import Any, Callable, Dict, Optional, Tuple

_WRAPPER = "_PythonModelPyfuncWrapper"
Handed = Tuple[Tuple[Any, ...], Dict[str, Any]]


class Seen(BaseException):
    """Ends a prediction whose arguments were all that was wanted."""


class StandIn:
    """Takes a PythonModel's place in the wrapper; ``handed`` are the arguments that its predict was called with."""

    def __init__(self, own: Any) -> None:
        self._own = own
        self.handed: Optional[Handed] = None

        def predict(*arguments: Any, **named: Any) -> Any:
            self.handed = arguments, named
            raise Seen

        # What the wrapper does depends on what it inspects.
        predict.__signature__ = inspect.signature(own.predict)  # type: ignore[attr-defined]
        self.predict = predict

    def __getattr__(self, name: str) -> Any:
        return getattr(self._own, name)


def unwrapped(call: Any, frame: Any, named: Dict[str, Any]) -> Optional[Callable[[Any], Any]]:
    """The user's own predict as a function of a DataFrame like ``frame``.

    ``call``: the bound predict of MLflow's wrapper; ``named``: the arguments that it gets besides the data. None where
    it is no such wrapper, or where that does more than to hand the rows on as they are.
    """
    wrapper: Any = getattr(call, "__self__", None)
    if type(wrapper).__name__ != _WRAPPER or not hasattr(wrapper, "python_model"):
        return None
    handed = _handed(wrapper, call, frame, named)
    if handed is None:
        return None
    arguments, keywords = handed
    before, data = arguments[:-1], arguments[-1] if arguments else None
    as_is = data is frame and all(one is wrapper.context for one in before) and len(before) < 2
    if not as_is or set(keywords) - {"params"}:
        return None
    if keywords.get("params") != named.get("params"):
        return None
    predict = wrapper.python_model.predict
    if keywords.get("params"):
        return lambda rows: predict(*before, rows, **copy.deepcopy(keywords))
    return lambda rows: predict(*before, rows, **keywords)


def _handed(wrapper: Any, call: Any, frame: Any, named: Dict[str, Any]) -> Optional[Handed]:
    own = wrapper.python_model
    try:
        wrapper.python_model = place = StandIn(own)
        call(frame, **named)
    except Seen:
        return place.handed
    except Exception:  # it looks at more than a stand-in has
        return None
    finally:
        wrapper.python_model = own
    return None
