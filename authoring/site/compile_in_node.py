"""Runs in Pyodide (in_node.mjs): import what every notebook imports, and keep the compiled code of
all that this loaded.

/here gets bytecode.zip with the bytecode of the packages, by the names that site-packages has for
it, and python_stdlib.zip with the bytecode of the standard library beside its sources.
"""

import importlib.util
import shutil
import sys
import zipfile

import huggingface_hub
import ipywidgets  # noqa: F401
import micropip  # noqa: F401
import openai
import piplite.piplite  # noqa: F401
import pyodide_kernel  # noqa: F401
import stamina  # noqa: F401

import helpers.exercises
import helpers.faults
import helpers.plotting
import helpers.retry
import helpers.widgets  # noqa: F401
from helpers.session import Session

sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__  # the kernel took them for the cells

session = Session("01_first_call")
session.begin()
clients = (
    huggingface_hub.InferenceClient(),
    openai.OpenAI(api_key="none"),
    openai.AsyncOpenAI(api_key="none"),
    openai.types.chat,
)
session.stop()

compiled = {}
for module in list(sys.modules.values()):
    spec = getattr(module, "__spec__", None)
    if spec is None or not (spec.origin or "").endswith(".py"):
        continue
    try:
        code, source = spec.loader.get_code(spec.name), spec.loader.get_data(spec.origin)
    except (ImportError, OSError):
        continue
    # "Unchecked": Python takes it without looking at the source, whose time the browser does not
    # know.
    data = importlib._bootstrap_external._code_to_hash_pyc(
        code, importlib.util.source_hash(source), False
    )
    compiled[spec.origin] = bytes(data)

packages, library = (
    "/lib/python3.14/site-packages/",
    next(path for path in sys.path if path.endswith(".zip")) + "/",
)
with zipfile.ZipFile("/here/bytecode.zip", "w") as archive:
    for origin, data in sorted(compiled.items()):
        if origin.startswith(packages):
            archive.writestr(importlib.util.cache_from_source(origin).removeprefix(packages), data)
shutil.copyfile(library[:-1], "/here/python_stdlib.zip")
with zipfile.ZipFile("/here/python_stdlib.zip", "a", zipfile.ZIP_DEFLATED) as archive:
    for origin, data in sorted(compiled.items()):
        if origin.startswith(library):
            archive.writestr(origin.removeprefix(library) + "c", data)
print(len(compiled))
