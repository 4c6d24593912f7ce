# Two commands: `make run` (the main job on the built-in default) and `make test`.
# Both make .venv on first use; paths are relative, so the folder's own name may hold spaces.

PYTHON ?= python3
PY := .venv/bin/python
INSTALLED := .venv/.installed

.PHONY: run test lint docs slow parity soak cluster clean

run: $(INSTALLED)
	$(PY) -m ensemble.run --split test

test: $(INSTALLED)
	$(PY) -m pytest -n auto --maxprocesses 4 --dist loadgroup

lint: $(INSTALLED)
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	.venv/bin/lint-imports

# --strict: a dead link, a missing anchor or a page outside the navigation ends the build.
docs: $(INSTALLED)
	$(PY) -m pip install --quiet --disable-pip-version-check -r requirements-docs.txt
	$(PY) docs/generate_reference.py
	NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --strict --quiet

slow: $(INSTALLED)
	$(PY) -m pytest -m slow -n auto --maxprocesses 4 --dist loadgroup

parity: $(INSTALLED)
	$(PY) -m pytest -m parity

soak: $(INSTALLED)
	$(PY) -m pytest -m soak

cluster: $(INSTALLED)
	$(PY) -m pip install --quiet --disable-pip-version-check --constraint requirements.txt \
		"ray[default]"
	$(PY) -m pytest -m cluster

# sam2 wants torchvision and, in an isolated build, a torch of its own: neither is needed.
$(INSTALLED): requirements.txt pyproject.toml setup.py
	test -x $(PY) || $(PYTHON) -m venv .venv
	$(PY) -m pip install --quiet --disable-pip-version-check -r requirements.txt
	SAM2_BUILD_CUDA=0 $(PY) -m pip install --quiet --disable-pip-version-check \
		--no-build-isolation --no-deps sam2==1.1.0
	$(PY) -m pip install --quiet --disable-pip-version-check \
		--no-build-isolation --no-deps --editable .
	touch $(INSTALLED)

clean:
	rm -rf .venv build *.egg-info
