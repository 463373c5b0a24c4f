# make demo   install into .venv and run the quickstart
# make test   install into .venv and run the tests
# make figure run the quickstart and renew the figures of the README
# make reference   run the scenarios of the physical layer and renew results/reference
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo test test-slow figure reference benchmark clean

demo: $(VENV)/.installed
	$(BIN)/semcom run scenarios/quickstart.yaml

test: $(VENV)/.installed-test
	$(BIN)/python -m pytest -m "not slow"

test-slow: $(VENV)/.installed-test
	$(BIN)/python -m pytest -m slow

figure: demo
	cp results/quickstart/figures/overview.png docs/quickstart_curves.png
	cp results/quickstart/figures/panel_report_0_00000.png docs/quickstart_panel.png

reference: $(VENV)/.installed
	$(BIN)/python benchmarks/reference.py

benchmark: $(VENV)/.installed
	$(BIN)/python benchmarks/links.py
	$(BIN)/python benchmarks/overhead.py

$(VENV)/.python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "semcom needs Python 3.11 or newer; $$($(PYTHON) --version) was found. Name another with: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.installed: pyproject.toml $(VENV)/.python
	@echo "Installing semcom into $(VENV). PyTorch brings its CUDA libraries: about 6 GB on disk."
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	@touch $@

clean:
	rm -rf $(VENV) build *.egg-info
