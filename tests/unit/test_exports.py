"""The public face of the package: what `__all__` lists, and that listing it costs nothing."""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys
from pathlib import Path

import pytest

import pytest_chaser
from pytest_chaser import _exceptions, _models


def test_all_is_sorted_and_has_no_name_twice() -> None:
    assert pytest_chaser.__all__ == sorted(set(pytest_chaser.__all__))


@pytest.mark.parametrize("name", pytest_chaser.__all__)
def test_a_listed_name_can_be_had(name: str) -> None:
    assert getattr(pytest_chaser, name) is getattr(pytest_chaser, name)


def test_every_error_and_warning_is_public() -> None:
    classes = {name for name, value in vars(_exceptions).items() if isinstance(value, type)}
    assert classes <= set(pytest_chaser.__all__)


def test_every_public_name_is_known_to_a_type_checker() -> None:
    source = Path(pytest_chaser.__file__).read_text(encoding="utf-8")
    imports = source.split("if TYPE_CHECKING:")[1].split("__version__ =")[0]
    missing = [name for name in pytest_chaser.__all__ if name != "__version__" and name not in imports]
    assert not missing


def test_an_unknown_name_is_an_attribute_error_that_names_it() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'ChaserKlient'"):
        pytest_chaser.ChaserKlient  # noqa: B018 - the access is the test


def test_dir_lists_the_public_names() -> None:
    assert dir(pytest_chaser) == pytest_chaser.__all__


def test_models_are_the_very_classes_of_their_module() -> None:
    assert pytest_chaser.Session is _models.Session


def test_importing_the_package_loads_nothing_else_of_ours() -> None:
    code = "import sys, pytest_chaser; print(sorted(name for name in sys.modules if name.startswith('pytest_chaser')))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "['pytest_chaser']"


def test_the_tests_import_what_was_installed() -> None:
    distribution = importlib.metadata.distribution("pytest-chaser")
    origin = json.loads(distribution.read_text("direct_url.json") or "{}")
    package = Path(pytest_chaser.__file__).parent
    if origin.get("dir_info", {}).get("editable"):
        assert origin["url"] == package.parent.as_uri()
    else:
        assert package == Path(str(distribution.locate_file("pytest_chaser")))


def test_the_version_is_that_of_the_installed_distribution() -> None:
    assert importlib.metadata.version("pytest-chaser") == pytest_chaser.__version__
