"""What every learner's server needs, imported once: spawner.py forks them from the process that has done it."""

import gc
import sys

# jsonschema asks for this to check addresses that are no plain URLs, and does without where it is missing. Importing it
# compiles a grammar: two seconds and 16 MiB for a check that no notebook server makes.
sys.modules["rfc3987_syntax"] = None

import babel.core  # noqa: E402, F401
import jupyterlab.labapp  # noqa: E402, F401
import jupyterhub.log  # noqa: E402, F401 (brings the hub's database library: a server imports it, and never uses it)

import nbconvert.exporters  # noqa: E402, F401 (JupyterLab asks each server what it can export to)
import nbformat  # noqa: E402

nbformat.validate(nbformat.v4.new_notebook())       # what the first notebook that is opened would load

# Not jupyterhub.services.auth: it reads the environment when it is imported, and each learner's is another.
gc.collect()
gc.freeze()     # this is no garbage of any server; a search through it would copy the pages they share
