"""What the words of a ``%serve`` line mean: variables and expressions of the notebook, files, model URIs."""

from __future__ import annotations

import ast
import difflib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from IPython.core.error import UsageError


class Arguments:
    """Values of words; ``namespace`` holds the notebook's variables."""

    def __init__(self, namespace: Mapping[str, Any]) -> None:
        self._namespace = namespace

    def model(self, text: str) -> Any:
        """Value of a variable or expression (``search.best_estimator_``), else the text as a model URI."""
        if text.isidentifier():
            return self._variable(text, "a model URI (models:/NAME/VERSION)")
        return self._evaluated(text) if self._is_expression(text) else text

    def data(self, text: str) -> Any:
        """Value of a variable or expression (``X.head()``), else the content of a file."""
        if text.isidentifier():
            return self._variable(text, "a file")
        if self._is_expression(text) and not Path(text).exists():
            return self._evaluated(text)
        path = Path(text)
        if path.suffix.lower() == ".csv":
            import pandas as pd

            try:
                return pd.read_csv(path)
            except OSError as error:
                raise UsageError(f"%serve: {text} cannot be read: {error.strerror}.") from None
        try:
            return parsed(path.read_text(), text)
        except OSError as error:
            raise UsageError(
                f"%serve: {text!r} is neither a variable, nor an expression that begins with one, nor a file "
                f"that can be read ({error.strerror})."
            ) from None

    def _variable(self, name: str, otherwise: str) -> Any:
        if name not in self._namespace:
            known = [n for n in self._namespace if not n.startswith("_")]
            near = difflib.get_close_matches(name, known, n=1)
            guess = f" Did you mean {near[0]!r}?" if near else ""
            raise UsageError(
                f"%serve: there is no variable {name!r}, and it is not {otherwise}.{guess}"
            )
        return self._namespace[name]

    def _is_expression(self, text: str) -> bool:
        """True for an attribute, call or item of a variable that exists: a path is none of these."""
        try:
            node: ast.AST = ast.parse(text, mode="eval").body
        except SyntaxError:
            return False
        while isinstance(node, ast.Attribute | ast.Subscript | ast.Call):
            node = node.func if isinstance(node, ast.Call) else node.value
        return isinstance(node, ast.Name) and node.id in self._namespace

    def _evaluated(self, text: str) -> Any:
        try:
            return eval(text, dict(self._namespace))
        except Exception as error:
            raise UsageError(f"%serve: {text} fails: {type(error).__name__}: {error}.") from None


def parsed(text: str, source: str) -> Any:
    """JSON of a cell or file; UsageError names ``source``."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise UsageError(f"%serve: {source} is not valid JSON: {error}.") from None
