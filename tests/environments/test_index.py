from pathlib import Path

from jupyter_serving.environments import index


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_pips_configuration_is_translated(tmp_path: Path) -> None:
    site = write(
        tmp_path / "site.conf",
        "[global]\nindex-url = https://a.example/simple\nfind-links = /w /x\n",
    )
    user = write(
        tmp_path / "user.conf",
        "[global]\nindex-url = https://b.example/simple\nextra-index-url =\n  https://c.example\n  https://d.example\n",
    )
    assert index.variables({"HOME": str(tmp_path)}, [site, user]) == {
        "UV_DEFAULT_INDEX": "https://b.example/simple",
        "UV_INDEX": "https://c.example https://d.example",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "UV_FIND_LINKS": "/w,/x",
    }


def test_variables_win_over_files(tmp_path: Path) -> None:
    file = write(tmp_path / "pip.conf", "[global]\nindex-url = https://a.example/simple\n")
    environ = {"HOME": str(tmp_path), "PIP_INDEX_URL": "https://b.example/simple"}
    assert index.variables(environ, [file]) == {"UV_DEFAULT_INDEX": "https://b.example/simple"}


def test_uv_that_is_configured_itself_is_left_alone(tmp_path: Path) -> None:
    file = write(tmp_path / "pip.conf", "[global]\nindex-url = https://a.example/simple\n")
    assert (
        index.variables({"HOME": str(tmp_path), "UV_INDEX_URL": "https://u.example"}, [file]) == {}
    )
    write(tmp_path / ".config" / "uv" / "uv.toml", "offline = true\n")
    assert index.variables({"HOME": str(tmp_path)}, [file]) == {}


def test_files_in_pips_order_and_damaged_ones_passed_over(tmp_path: Path) -> None:
    home = tmp_path / "home"
    named = write(tmp_path / "named.conf", "[install]\nfind-links = /named\n")
    write(home / ".config" / "pip" / "pip.conf", "no section = 1\n")
    write(home / ".pip" / "pip.conf", "[global]\nfind-links = /old\n")
    environ = {"HOME": str(home), "XDG_CONFIG_DIRS": str(tmp_path), "PIP_CONFIG_FILE": str(named)}
    files = index.pip_files(environ)
    assert files[-1] == named
    assert files.index(home / ".pip" / "pip.conf") < files.index(
        home / ".config" / "pip" / "pip.conf"
    )
    assert index.pip_options(environ, files)["find-links"] == "/named"
    assert index.pip_files({"PIP_CONFIG_FILE": "/dev/null"}) == []
