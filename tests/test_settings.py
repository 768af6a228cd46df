"""Settings: files, environment, and errors that name the source."""

from __future__ import annotations

from pathlib import Path

import pytest

from jupyter_serving.errors import InvalidParameter
from jupyter_serving.settings import Settings


@pytest.fixture
def config_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("JUPYTER_CONFIG_DIR", str(tmp_path))
    return tmp_path


def test_a_file_wins_over_the_default_and_the_environment_over_the_file(config_dir: Path) -> None:
    (config_dir / "jupyter_serving_config.py").write_text(
        "c.Settings.queue_limit = 7\nc.Settings.gateway_port = 8899\n"
    )
    settings = Settings.load({"JUPYTER_SERVING_QUEUE_LIMIT": "9"})
    assert (settings.queue_limit, settings.gateway_port) == (9, 8899)
    assert settings.request_deadline_seconds == 297.0


def test_a_json_file_is_read(config_dir: Path) -> None:
    (config_dir / "jupyter_serving_config.json").write_text('{"Settings": {"queue_limit": 3}}')
    assert Settings.load({}).queue_limit == 3


def test_a_bad_variable_is_named_with_its_value(config_dir: Path) -> None:
    with pytest.raises(InvalidParameter, match=r"JUPYTER_SERVING_QUEUE_LIMIT='many'"):
        Settings.load({"JUPYTER_SERVING_QUEUE_LIMIT": "many"})


def test_a_broken_file_is_named(config_dir: Path) -> None:
    (config_dir / "jupyter_serving_config.py").write_text("c.Settings.queue_limit = (\n")
    with pytest.raises(InvalidParameter, match=r"jupyter_serving_config.py cannot be read"):
        Settings.load({})


def test_every_setting_has_help_and_says_its_unit_where_it_is_a_time() -> None:
    traits = Settings.class_traits(config=True)
    assert set(Settings.names()) == set(traits)
    for name, trait in traits.items():
        assert len(trait.help) > 20, name
        if name.endswith("_seconds"):
            assert "second" in trait.help or "long" in trait.help, name
