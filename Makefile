# `make lab` opens the course, `make test` proves it. Each works alone, on a fresh clone.
# Windows, or no make: the same steps by hand are in CONTRIBUTING.md.

VENV := .venv
PY := $(VENV)/bin/python
UV := $(VENV)/bin/uv
# The Python to build .venv with: the first one here that is new enough. `make lab PYTHON=/opt/python3.13/bin/python3` chooses.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' 2>/dev/null && echo $$p && break; done)

# What is installed is marked in .venv with the checksum of its lock, so a second run has nothing to do.
mark = $(VENV)/.$(1)-$(firstword $(shell cat pyproject.toml $(2) | cksum))
UV_SET := $(call mark,uv,locks/uv.txt)
LAB_SET := $(call mark,lab,locks/lab.txt)
HUB_SET := $(call mark,hub,locks/hub.txt)
TEST_SET := $(call mark,test,locks/test.txt)

LAB_ARGS ?=
AS_ROOT := $(if $(filter 0,$(shell id -u)),--allow-root)
# One worker more than two cores have room for: some of a test's time is waiting.
JOBS ?= 3
ARGS ?=

.PHONY: lab check test colab record exercises lint badges practice class hub bench pages slides site lock doctor clean

lab: $(LAB_SET)
	$(VENV)/bin/jupyter lab --LabApp.default_url=/lab/tree/notebooks/01_first_call.ipynb $(AS_ROOT) $(LAB_ARGS)

# Everything. What needs npm is skipped where there is none, and says so.
test: $(TEST_SET) lint $(if $(shell command -v npm),authoring/node_modules)
	$(PY) -m pytest -n $(JOBS) --dist loadscope --max-worker-restart 1 $(ARGS)

# The quick round: lint, floors, notebooks and what needs no browser, no server and no second environment.
check: $(TEST_SET) lint
	$(PY) -m pytest -n $(JOBS) --dist loadscope --max-worker-restart 1 -m "not slow" $(ARGS)

# Format, lint, and who may import whom (pyproject.toml).
lint: $(TEST_SET)
	$(VENV)/bin/ruff format --check -q
	$(VENV)/bin/ruff check -q
	$(VENV)/bin/lint-imports --no-logo > $(VENV)/lint-imports.txt || { cat $(VENV)/lint-imports.txt; exit 1; }

# Installs nothing: it looks at what is there.
doctor:
	@$(if $(wildcard $(PY)),$(PY),$(PYTHON)) doctor.py $(ARGS)

record: $(TEST_SET)
	$(PY) -m authoring.record $(ARGS)

exercises: $(TEST_SET)
	$(PY) -m authoring.derive $(ARGS)

# The course's public address, in every notebook and the README. After publishing: make badges ADDRESS=https://github.com/you/course
badges: $(TEST_SET)
	$(PY) -m authoring.badges $(if $(ADDRESS),--address "$(ADDRESS)")

# All notebooks among Colab's own versions; `make test` runs four of them there.
colab: $(TEST_SET)
	COLAB_NOTEBOOKS=all $(PY) -m pytest $(ARGS) tests/test_colab.py

practice: $(TEST_SET)
	$(PY) -m authoring.practice_server $(ARGS)

# One token for a class, kept on this machine: INSTRUCTORS.md.
class: $(TEST_SET)
	$(PY) -m authoring.classroom $(ARGS)

# A JupyterHub for a class: workshop/README.md.
hub: $(HUB_SET) workshop/node_modules
	$(VENV)/bin/jupyterhub -f workshop/jupyterhub_config.py $(ARGS)

%/node_modules: %/package-lock.json
	cd $* && npm ci --silent
	@touch $@

bench: $(TEST_SET)
	$(PY) -m authoring.bench $(ARGS)

pages: $(TEST_SET)
	$(PY) -m authoring.pages

slides: $(TEST_SET) authoring/node_modules
	$(PY) -m authoring.slides

# The course in a browser tab, as static files in _site/. Look at it: make site ARGS=serve
site: $(TEST_SET) authoring/node_modules
	$(PY) -m authoring.site $(ARGS)

# Keeps the pins it can; `make lock ARGS=--upgrade` takes the newest of everything.
COMPILE = $(UV) pip compile -q --no-python-downloads --universal --python-version 3.11 --generate-hashes --custom-compile-command "make lock" $(ARGS)
lock: $(UV_SET)
	$(COMPILE) --all-extras pyproject.toml -o locks/test.txt
	for set in lab hub; do $(COMPILE) --extra lab --extra $$set -c locks/test.txt pyproject.toml -o locks/$$set.txt || exit; done
	echo uv | $(COMPILE) -c locks/test.txt - -o locks/uv.txt
	$(MAKE) site ARGS="lock $(ARGS)"

clean:
	rm -rf $(VENV) .pytest_cache

$(PY):
	@test -n "$(PYTHON)" || { echo "This needs Python 3.11 to 3.14 and found none. On Debian or Ubuntu: sudo apt-get install python3 python3-venv"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "Python's venv module is missing. On Debian or Ubuntu: sudo apt-get install $$($(PYTHON) -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')"; exit 1; }
	@echo "Building $(VENV) with $(PYTHON)"
	@$(PYTHON) -m venv --clear $(VENV)

$(UV_SET): $(PY)
	@$(PY) -m pip install -q --require-hashes -r locks/uv.txt
	@touch $@

# The test set holds the hub's and the learner's with the same pins: whoever has the first has the others.
$(LAB_SET): $(UV_SET)
	$(call install,locks/lab.txt)
	@touch $@

# Compiled at once: a class that starts together would do it twenty times, and each kernel would keep 6 MiB more.
$(HUB_SET): $(UV_SET)
	$(call install,locks/hub.txt,--compile-bytecode)
	@touch $@ $(LAB_SET)

$(TEST_SET): $(UV_SET)
	$(call install,locks/test.txt)
	@touch $@ $(LAB_SET) $(HUB_SET)

# The last line switches off JupyterLab's question about news, which asks the network and covers the lesson.
define install
@echo "Installing $(1) into $(VENV) (once; a minute or two)"
@rm -f $(VENV)/.lab-* $(VENV)/.hub-* $(VENV)/.test-*
@$(UV) pip install -q $(2) --python $(PY) -r $(1)
@$(UV) pip install -q --python $(PY) --no-deps -e .
@$(VENV)/bin/jupyter labextension disable --level=sys_prefix @jupyterlab/apputils-extension:announcements 2>/dev/null
endef
