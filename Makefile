# Two commands do everything: `make report` and `make test`. Both set up .venv first, from python3, pip and git alone.
PYTHON ?= python3
VENV ?= .venv
RUN = $(VENV)/bin

.PHONY: report test golden check bench lab environment clean

report: $(VENV)/ready  ## the main job: one HTML site from the shipped fio data
	$(RUN)/zpmodel report --out reports/latest

test: $(VENV)/ready  ## all tests, then one pass of the kernels' tests without the compiler
	$(RUN)/python -m pytest -q -p no:cacheprovider
	NUMBA_DISABLE_JIT=1 $(RUN)/python -m pytest -q -p no:cacheprovider tests/test_structure.py tests/test_overlap.py \
		-k "by_hand or periods or grow_over or fits or pages_fill or nvme or vectors_merge or rounds or bound or flight"

golden: $(VENV)/ready  ## write what people read anew, for review with git diff
	$(RUN)/python tests/golden/write.py

check: $(VENV)/ready  ## style, types, generated files in step
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .
	$(RUN)/mypy
	$(RUN)/nbstripout --verify notebooks/*.ipynb
	$(RUN)/python tools/environment.py --check

bench: $(VENV)/ready  ## speed, as ratios to something in the same run
	$(RUN)/python -m pytest -q -s benchmarks --benchmark-columns=median,iqr,rounds

lab: $(VENV)/ready  ## the notebooks in JupyterLab
	$(RUN)/jupyter lab $(if $(filter 0,$(shell id -u)),--allow-root) notebooks

environment: $(VENV)/ready  ## write environment.yml anew from pyproject.toml
	$(RUN)/python tools/environment.py

# Where the distribution left venv out of python3, virtualenv does the same and needs only pip.
$(VENV)/ready: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "zpmodel needs Python 3.11 or newer: make PYTHON=python3.12 ..." >&2; exit 2; }
	@rm -rf $(VENV)
	@$(PYTHON) -m venv $(VENV) 2>/dev/null || { rm -rf $(VENV) && $(PYTHON) -m pip install --quiet --target $(VENV).bootstrap virtualenv \
		&& PYTHONPATH=$(VENV).bootstrap $(PYTHON) -m virtualenv --quiet $(VENV) && rm -rf $(VENV).bootstrap; }
	$(RUN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@

clean:
	rm -rf $(VENV) $(VENV).bootstrap reports/latest
