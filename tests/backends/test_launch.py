import json
from pathlib import Path

from jupyter_serving.backends.launch import hint


def test_hints_name_only_what_is_harmless_to_import(tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    (model / "MLmodel").write_text(
        "    loader_module: mlflow.sklearn\n    loader_module: mlflow.pytorch\n"
    )
    (model / "model.pkl").write_bytes(b"csklearn.linear_model\nRidge\n.")
    (model / "more.pkl").write_bytes(b"ctorch.nn\nModule\n.")
    learned = tmp_path / "imports" / "k.json"
    hint(learned, model)
    assert json.loads(learned.read_text()) == ["mlflow.sklearn", "sklearn.linear_model"]


def test_what_loads_have_taught_is_kept(tmp_path: Path) -> None:
    learned = tmp_path / "k.json"
    learned.write_text('["xgboost"]')
    hint(learned, tmp_path)
    assert learned.read_text() == '["xgboost"]'
