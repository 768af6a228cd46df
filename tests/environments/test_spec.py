from pathlib import Path
from typing import Any

import pytest

from jupyter_serving.environments.spec import ModelRequirements, satisfied
from jupyter_serving.errors import StagingFailed

from .models import mlmodel, python_env, write

HAVE = {
    "mlflow": "3.1.0",
    "numpy": "2.1.0",
    "scikit-learn": "1.5.2",
    "torch": "2.3.0+cpu",
    "Foo_Bar": "1",
}


def test_a_model_as_mlflow_writes_it(tmp_path: Path) -> None:
    model = write(
        tmp_path,
        requirements="mlflow==3.1.0\nscikit-learn==1.5.2  # the estimator\n\n# nothing\nnumpy>=2,\\\n  <3\n",
        python_env=python_env(),
        conda={"dependencies": ["python=3.11.7", "pip<=23.2.1", {"pip": ["mlflow==3.1.0"]}]},
    )
    found = ModelRequirements.read(model)
    assert found.python == "3.11.7"
    assert found.requirements == ("mlflow==3.1.0", "scikit-learn==1.5.2", "numpy>=2, <3")
    assert found.build == ("setuptools==65.5.0",)
    assert (found.conda_only, found.options, found.notes) == ((), (), ())


@pytest.mark.parametrize(
    ("parts", "python", "requirements"),
    [
        pytest.param(
            {"requirements": "mlflow==2.9.0\n"},
            "3.11.7",
            ("mlflow==2.9.0",),
            id="no python_env.yaml",
        ),
        pytest.param(
            {
                "meta": mlmodel(None, env="conda.yaml"),
                "conda": {"dependencies": ["python=3.8.15", {"pip": ["mlflow<2", "pandas"]}]},
            },
            "3.8.15",
            ("mlflow<2", "pandas"),
            id="MLflow 1: conda only",
        ),
        pytest.param(
            {"python_env": python_env("mlflow==3.0.0", python="3.12.1")},
            "3.12.1",
            ("mlflow==3.0.0",),
            id="dependencies within python_env.yaml",
        ),
        pytest.param(
            {"meta": mlmodel(mlflow="2.14.1"), "requirements": "numpy\n"},
            "3.11.7",
            ("numpy", "mlflow==2.14.1"),
            id="mlflow is added as it logged the model",
        ),
        pytest.param(
            {"meta": mlmodel(mlflow="3.2.0.dev0"), "requirements": "numpy\n"},
            "3.11.7",
            ("numpy", "mlflow"),
            id="a development version of mlflow cannot be had",
        ),
        pytest.param(
            {"requirements": "mlflow-skinny==3.1.0\n"},
            "3.11.7",
            ("mlflow-skinny==3.1.0",),
            id="the small mlflow is mlflow",
        ),
        pytest.param(
            {"meta": {"mlflow_version": "3.1.0"}}, "", ("mlflow==3.1.0",), id="nothing is said"
        ),
        pytest.param(
            {
                "requirements": "-r more.txt\nmlflow\n",
                "files": {"more.txt": "pandas\n-r requirements.txt"},
            },
            "3.11.7",
            ("pandas", "mlflow"),
            id="files that include each other",
        ),
    ],
)
def test_where_requirements_come_from(
    tmp_path: Path, parts: dict[str, Any], python: str, requirements: tuple[str, ...]
) -> None:
    found = ModelRequirements.read(write(tmp_path, **parts))
    assert found.python == python
    assert found.requirements == requirements


@pytest.mark.parametrize(
    "line",
    [
        "code/x-1.0-py3-none-any.whl",
        "./code/x-1.0-py3-none-any.whl",
        "-e ./code",
        "--editable=./code",
    ],
)
def test_files_of_the_model_become_absolute_and_nothing_stays_editable(
    tmp_path: Path, line: str
) -> None:
    model = write(
        tmp_path, requirements=f"mlflow\n{line}\n", files={"code/x-1.0-py3-none-any.whl": "zip"}
    )
    found = ModelRequirements.read(model)
    [path] = found.local_files()
    assert path.exists()
    assert tmp_path in path.parents


def test_options_and_constraints_are_kept_apart(tmp_path: Path) -> None:
    model = write(
        tmp_path,
        requirements="--extra-index-url https://example.org/simple\n-c constraints.txt\nmlflow\n--pre\n",
        files={"constraints.txt": "numpy<2\n"},
    )
    found = ModelRequirements.read(model)
    assert found.options == ("--extra-index-url https://example.org/simple", "--pre")
    assert found.constraints == ("numpy<2",)
    assert found.requirements == ("mlflow",)


def test_packages_that_only_conda_has_are_listed(tmp_path: Path) -> None:
    conda = {
        "dependencies": [
            "python=3.11",
            "pip",
            "conda-forge::gdal=3.8",
            "r-base",
            {"pip": ["mlflow"]},
        ]
    }
    assert ModelRequirements.read(write(tmp_path, conda=conda)).conda_only == (
        "conda-forge::gdal=3.8",
        "r-base",
    )


def test_setuptools_that_the_model_pins_wins_over_the_build_tools(tmp_path: Path) -> None:
    model = write(tmp_path, requirements="mlflow\nsetuptools==70.0.0\n", python_env=python_env())
    assert ModelRequirements.read(model).build == ()


def test_a_directory_that_is_no_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(StagingFailed, match="MLmodel"):
        ModelRequirements.read(tmp_path)


def test_damaged_yaml_is_named(tmp_path: Path) -> None:
    model = write(tmp_path, requirements="mlflow\n")
    (model / "python_env.yaml").write_text("python: [3.11\n")
    with pytest.raises(StagingFailed, match=r"python_env\.yaml .*not valid YAML"):
        ModelRequirements.read(model)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("scikit-learn==1.5.2", None),
        ("Scikit_Learn==1.5.2", None),
        ("foo-bar==1.0.0", None),
        ("numpy>=2,<3", None),
        ("numpy", None),
        ("torch==2.3.0", None),
        ("mlflow[gateway]==3.1.0", None),
        ("pywin32==306; sys_platform == 'win32'", None),
        ("tomli==2; python_version < '3.11'", None),
        ("numpy==2.1.0 --hash=sha256:00", None),
        ("scikit-learn==1.5.1", "scikit-learn 1.5.1 is pinned, the kernel has 1.5.2"),
        ("numpy<2", "numpy<2 is required, the kernel has 2.1.0"),
        ("torch==2.3.0+cu121", "torch 2.3.0+cu121 is pinned, the kernel has 2.3.0+cpu"),
        ("xgboost", "xgboost is required, the kernel does not have it"),
        (
            "numpy @ https://example.org/numpy-2.1.0.whl",
            "numpy is wanted from https://example.org/numpy-2.1.0.whl",
        ),
        (
            "/models/x/code/x.whl",
            "/models/x/code/x.whl is a file of the model or no plain requirement",
        ),
        (
            "git+https://example.org/x.git",
            "git+https://example.org/x.git is a file of the model or no plain requirement",
        ),
    ],
)
def test_what_an_installed_version_satisfies(line: str, reason: str | None) -> None:
    found = satisfied(ModelRequirements("3.11.7", (line,)), "3.11.2", HAVE)
    assert found == ([reason] if reason else [])


@pytest.mark.parametrize(
    ("wanted", "have", "fits"),
    [
        ("3.11.7", "3.11.2", True),
        ("", "3.13.0", True),
        ("3.11.7", "3.12.7", False),
        ("3.1.1", "3.11.1", False),
    ],
)
def test_python_is_compared_by_its_first_two_numbers(wanted: str, have: str, fits: bool) -> None:
    assert (satisfied(ModelRequirements(wanted), have, {}) == []) is fits


def test_constraints_bind_only_what_is_installed() -> None:
    wanted = ModelRequirements(constraints=("numpy<2", "absent<1"))
    assert satisfied(wanted, "3.11.7", HAVE) == ["numpy<2 is required, the kernel has 2.1.0"]


@pytest.mark.parametrize(
    ("spec", "fits"),
    [
        ("scikit-learn=1.5", True),
        ("scikit-learn==1.5.2", True),
        ("conda-forge::scikit-learn", True),
        ("scikit-learn=1.5.2=py311_0", True),
        ("scikit-learn=1.50", False),
        ("scikit-learn=1.4.*", False),
        ("gdal=3.8", False),
    ],
)
def test_conda_packages_count_where_such_a_distribution_is_installed(spec: str, fits: bool) -> None:
    found = satisfied(ModelRequirements(conda_only=(spec,)), "3.11.7", HAVE)
    assert found == ([] if fits else [f"the conda package {spec} cannot be verified"])
