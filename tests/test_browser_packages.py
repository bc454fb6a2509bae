"""What a browser tab fetches late (helpers/browser/packages.py), as far as it can be seen without
a tab; the rest is test_site_browser.py."""

import importlib.util
import sys
import types

import pytest

from helpers.browser import packages


def pyodide(monkeypatch, run_sync=None, can_run_sync=True):
    """Put these two functions where Pyodide has them."""
    ffi = types.SimpleNamespace(can_run_sync=lambda: can_run_sync, run_sync=run_sync)
    monkeypatch.setitem(sys.modules, "pyodide", types.ModuleType("pyodide"))
    monkeypatch.setitem(sys.modules, "pyodide.ffi", ffi)


def asked_for(monkeypatch, comes=True) -> list:
    """The modules that will have been fetched; each comes, or does not."""
    asked = []
    fetch = lambda module, package=None: asked.append((module, package)) or comes
    monkeypatch.setattr(packages, "fetch", fetch)
    return asked


@pytest.fixture
def nowhere(monkeypatch):
    """A Python in which nothing but the tab's finder finds NumPy, Pillow or anything below them."""
    monkeypatch.setattr(sys, "meta_path", [])
    asked_for(monkeypatch, comes=False)
    for name in [name for name in sys.modules if name.partition(".")[0] in ("numpy", "PIL")]:
        monkeypatch.delitem(sys.modules, name)
    packages.install()
    packages.install()
    assert len(sys.meta_path) == 1, "installed twice"
    yield
    sys.modules.pop("numpy", None)  # the stand-in


def test_numpy_can_be_imported_and_explains_itself_when_used(nowhere):
    import numpy as np

    assert not hasattr(np, "ndarray")
    with pytest.raises(AttributeError, match="This needs NumPy, .* restart the kernel"):
        np.array([1])


def test_the_stand_in_does_not_count_as_fetched(monkeypatch):
    """Else huggingface_hub would hear that NumPy is there, and ask the learner to install it."""
    pyodide(monkeypatch)
    assert packages.fetch("sys")
    monkeypatch.setitem(sys.modules, "numpy", packages._StandIn("numpy"))
    assert not packages.fetch("numpy")


@pytest.mark.parametrize(
    "module, name", [("PIL", "Pillow"), ("PIL.Image", "Pillow"), ("numpy.linalg", "NumPy")]
)
def test_what_is_imported_by_parts_is_explained_at_once(nowhere, module, name):
    with pytest.raises(ModuleNotFoundError, match=f"This needs {name}"):
        packages._Last.find_spec(module)


def test_an_import_inside_a_module_fetches_too(monkeypatch):
    asked = asked_for(monkeypatch)
    assert packages._Last.find_spec("PIL").name == "PIL"
    assert asked == [("PIL", "pillow")]


@pytest.mark.parametrize("comes", [True, False])
def test_the_openai_client_is_fetched_and_if_it_does_not_come_python_says_so(monkeypatch, comes):
    asked = asked_for(monkeypatch, comes)
    found = packages._Last.find_spec("openai")
    assert [module for module, _ in asked] == ["openai"]
    assert found.name == "openai" if comes else found is None
    assert packages._Last.find_spec("openai.no_such_part") is None and len(asked) == 1


def test_other_modules_are_none_of_its_business(nowhere):
    assert packages._Last.find_spec("matplotlib") is None, "plotting.py shows a table instead"
    assert packages._Last.find_spec("numpyro") is None


def test_a_failure_is_remembered_and_a_success_is_found(monkeypatch):
    asked = []
    pyodide(monkeypatch, run_sync=asked.append)
    monkeypatch.setattr(packages, "_loaded_or_late", lambda package: package)
    monkeypatch.setattr(packages, "_gave_up", set())
    assert not packages.fetch("no_such_module", "its-package")
    assert not packages.fetch("no_such_module", "its-package")
    assert asked == ["its-package"]
    monkeypatch.delitem(sys.modules, "this", raising=False)
    assert packages.fetch("this") and asked == ["its-package", "this"]


def test_a_browser_that_cannot_set_a_call_aside_fetches_nothing(monkeypatch):
    pyodide(monkeypatch, can_run_sync=False)
    assert not packages.fetch("no_such_module")


def test_huggingface_hub_asks_for_numpy_where_it_said_not_installed(monkeypatch):
    from huggingface_hub.utils import _runtime

    monkeypatch.setattr(_runtime, "_get_version", _runtime._get_version)
    monkeypatch.setattr(_runtime, "_package_versions", {"numpy": "N/A", "pillow": "N/A"})
    asked = asked_for(monkeypatch)
    packages.teach_hub()
    packages.teach_hub()
    assert _runtime.is_numpy_available() and _runtime.is_pillow_available()
    assert [module for module, _ in asked] == ["numpy", "PIL"]
    assert _runtime.is_numpy_available() and len(asked) == 2, "asked again for what is there"
    asked_for(monkeypatch, comes=False)
    monkeypatch.setattr(_runtime, "_package_versions", {})
    with pytest.raises(ModuleNotFoundError, match="This needs NumPy"):
        _runtime.is_numpy_available()


def test_elsewhere_it_is_not_installed():
    assert importlib.util.find_spec("helpers.browser.packages")
    assert not any(isinstance(finder, packages._Last) for finder in sys.meta_path)
