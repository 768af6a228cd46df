from pathlib import Path

from jupyter_serving.backends.runtimecopy import PACKAGE, SOURCE, copy_runtime


def test_the_copy_is_whole_and_made_once(tmp_path: Path) -> None:
    place = copy_runtime(tmp_path)
    first = (place / PACKAGE / "__main__.py").stat()
    assert copy_runtime(tmp_path) == place
    assert (place / PACKAGE / "__main__.py").stat().st_ino == first.st_ino
    names = {p.name for p in SOURCE.glob("*.py")}
    assert {p.name for p in (place / PACKAGE).iterdir()} == names
    assert [p.name for p in tmp_path.iterdir()] == [place.name]


def test_another_content_is_another_copy(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "a.py").write_text("x = 1")
    one = copy_runtime(tmp_path / "copies", source)
    (source / "a.py").write_text("x = 2")
    assert copy_runtime(tmp_path / "copies", source) != one
    assert (one / PACKAGE / "a.py").read_text() == "x = 1"


def test_what_a_cleaner_took_is_put_back(tmp_path: Path) -> None:
    place = copy_runtime(tmp_path)
    (place / PACKAGE / "__main__.py").unlink()
    assert copy_runtime(tmp_path) == place
    assert (place / PACKAGE / "__main__.py").exists()
