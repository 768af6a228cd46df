"""Words of a %serve line: variables, expressions that begin with one, files."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from IPython.core.error import UsageError

from jupyter_serving.notebook.arguments import Arguments


def test_a_variable_or_an_expression_that_begins_with_one_is_its_value() -> None:
    given = Arguments({"rows": [[1], [2]], "search": SimpleNamespace(best="forest")})
    assert given.data("rows") == [[1], [2]]
    assert given.data("rows[:1]") == [[1]]
    assert given.data("rows.copy()") == [[1], [2]]
    assert given.model("search.best") == "forest"


def test_a_model_uri_is_no_expression() -> None:
    given = Arguments({"models": 1, "runs": 2})
    for uri in ("models:/iris/1", "models:/iris@champion", "runs:/abc/model", "/tmp/model"):
        assert given.model(uri) == uri


def test_a_file_that_exists_is_read_though_a_variable_has_its_first_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("rows.json").write_text("[[3]]")
    assert Arguments({"rows": [[1]]}).data("rows.json") == [[3]]


def test_what_begins_with_no_variable_is_never_evaluated() -> None:
    with pytest.raises(UsageError, match="neither a variable"):
        Arguments({"rows": []}).data("__import__('os').getcwd()")
