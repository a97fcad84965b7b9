# Two commands do everything: `make report` and `make test`. Both set up .venv first, from python3, pip and git alone.
PYTHON ?= python3
VENV ?= .venv
RUN = $(VENV)/bin

.PHONY: report test thorough golden check bench lab docs environment lowest pythons clean

report: $(VENV)/ready  ## the main job: one HTML site from the shipped fio data
	$(RUN)/zpmodel report --out reports/latest

PYTEST = -m pytest -q -p no:cacheprovider -n auto --dist loadfile --no-loadscope-reorder

# Some hundred short processes, and a process of pytest a core: each would compile all that it imports anew.
test thorough: export PYTHONDONTWRITEBYTECODE =

test: $(VENV)/ready  ## the kernels' tests without the compiler, then all tests; further cases of some are left to `thorough`
	NUMBA_DISABLE_JIT=1 $(RUN)/python -m pytest -q -p no:cacheprovider -m nojit tests/test_structure.py tests/test_merging.py tests/test_nvme_descriptors.py tests/test_overlap.py
	$(RUN)/python $(PYTEST) -m "not thorough"

thorough: $(VENV)/ready  ## what `test` leaves: more seeds, subsets, signals, files (tests/depth.py)
	$(RUN)/python $(PYTEST) -m thorough

golden: $(VENV)/ready  ## write what people read anew, for review with git diff
	$(RUN)/python tests/golden/write.py

check: $(VENV)/ready  ## style, types, the floors of the house, generated files in step
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .
	$(RUN)/mypy
	cd tests && MYPYPATH=.. $(abspath $(RUN))/mypy --config-file mypy.ini .
	MYPYPATH=tests:. $(RUN)/mypy --config-file tests/mypy.ini tools benchmarks
	$(RUN)/lint-imports
	$(RUN)/nbstripout --verify notebooks/*.ipynb
	$(RUN)/python tools/environment.py --check
	$(RUN)/python tools/index_notebook.py --check

bench: $(VENV)/ready  ## speed, as ratios to something in the same run
	$(RUN)/python -m pytest -q -s benchmarks --benchmark-columns=median,iqr,rounds

lab: $(VENV)/ready  ## the notebooks in JupyterLab, from their index
	$(RUN)/jupyter lab $(if $(filter 0,$(shell id -u)),--allow-root) notebooks/index.ipynb

docs: $(VENV)/docs-ready  ## the documentation as one static site: docs/_build/html/index.html
	$(RUN)/python -m sphinx -W --keep-going -E -q -b html docs docs/_build/html

# Heavy, and of no use to who only asks the model: an extra of its own.
$(VENV)/docs-ready: $(VENV)/ready
	$(RUN)/python -m pip install --quiet --disable-pip-version-check -e '.[docs]'
	@touch $@

environment: $(VENV)/ready  ## write environment.yml anew from pyproject.toml
	$(RUN)/python tools/environment.py

lowest: $(VENV)/ready  ## the quick tests with the lowest versions that pyproject.toml allows
	$(RUN)/python tools/versions.py lowest

pythons: $(VENV)/ready  ## the quick tests with every Python from 3.11 that is found here
	$(RUN)/python tools/versions.py pythons

# Where the distribution left venv out of python3, virtualenv does the same and needs only pip.
$(VENV)/ready: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "zpmodel needs Python 3.11 or newer: make PYTHON=python3.12 ..." >&2; exit 2; }
	@rm -rf $(VENV)
	@$(PYTHON) -m venv $(VENV) 2>/dev/null || { rm -rf $(VENV) && $(PYTHON) -m pip install --quiet --target $(VENV).bootstrap virtualenv \
		&& PYTHONPATH=$(VENV).bootstrap $(PYTHON) -m virtualenv --quiet $(VENV) && rm -rf $(VENV).bootstrap; }
	$(RUN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@

clean:
	rm -rf $(VENV) $(VENV).bootstrap .venv-* reports/latest docs/_api docs/_build
