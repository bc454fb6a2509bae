"""An upgrade under a running kernel is noticed, by versions, without importing anything."""

import importlib.metadata
import sys
import types

import pytest

import helpers

NOW = {
    name: types.SimpleNamespace(__version__=importlib.metadata.version(name))
    for name in helpers.CLIENTS
}


@pytest.mark.parametrize("name", helpers.CLIENTS)
def test_an_older_client_in_memory_is_named(name):
    old = NOW | {name: types.SimpleNamespace(__version__="0.0.1")}
    assert helpers.outdated(old) == [
        f"{name} 0.0.1 is loaded, {importlib.metadata.version(name)} is installed"
    ]
    with pytest.raises(
        ImportError,
        match=f"{name} 0.0.1 is loaded.* Restart the session .*run the notebook from the top",
    ):
        helpers.refuse_outdated(old)


@pytest.mark.parametrize(
    "modules",
    [{}, NOW, {"openai": types.SimpleNamespace()}, sys.modules],
    ids=["nothing", "all", "no version", "this process"],
)
def test_what_is_installed_may_be_loaded(modules):
    assert helpers.outdated(modules) == []
    assert helpers.refuse_outdated(modules) is None


def test_what_was_never_installed_is_left_alone(monkeypatch):
    monkeypatch.setattr(helpers, "CLIENTS", ("of_no_distribution",))
    assert helpers.outdated({"of_no_distribution": types.SimpleNamespace(__version__="1")}) == []
