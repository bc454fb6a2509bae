"""What every learner's server needs, imported once: spawner.py forks them from the process that has
done it."""

import gc
import importlib
import sys

# jsonschema asks for this to check addresses that are no plain URLs, and does without where it is
# missing. Importing it compiles a grammar: two seconds and 16 MiB for a check that no notebook
# server makes.
sys.modules["rfc3987_syntax"] = None

import anyio._backends._asyncio  # noqa: E402, F401
import babel.dates  # noqa: E402, F401

# A server asks ipykernel how to start a kernel, and ipykernel brings it.
import IPython  # noqa: E402, F401
import jupyter_server_terminals.app  # noqa: E402, F401

# Brings the hub's database library: a server imports it, and never uses it.
import jupyterhub.log  # noqa: E402, F401
import jupyterlab.labapp  # noqa: E402, F401
import nbconvert.exporters  # noqa: E402, F401 (JupyterLab asks each server what it can export to)
import nbformat  # noqa: E402
from jupyter_server.serverapp import JUPYTER_SERVICE_HANDLERS  # noqa: E402

for modules in JUPYTER_SERVICE_HANDLERS.values():
    for module in modules or []:
        importlib.import_module(module)

nbformat.validate(nbformat.v4.new_notebook())  # what the first notebook that is opened would load

# Not jupyterhub.services.auth: it reads the environment when it is imported, and each learner's is
# another.
gc.collect()
gc.freeze()  # this is no garbage of any server; a search through it would copy the pages they share
