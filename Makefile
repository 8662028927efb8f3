# make demo [IMAGE=image.jpg]   draw poses into demo/
# make test                       everything that has to pass: lint, tests of the built wheel, docs
# make docs                       build the site into site/
# make bench                      the benchmarks that need nothing else
# make mutate [JOBS=1]            plant bugs and report which of them the tests do not catch
#
# Everything happens in .venv, with the versions of constraints.txt. PYTHON chooses the interpreter it is made with.

PYTHON ?= python3
override IMAGE := $(value IMAGE)
export IMAGE
JOBS ?= 1
VENV := .venv
RUN := $(VENV)/bin/python
INSTALL := $(RUN) -m pip install --quiet -c constraints.txt
# The wheel is tested from an environment of its own, which sees the packages of .venv but not the checkout.
WHEEL_VENV := build/wheel-venv
WHEEL_RUN := $(WHEEL_VENV)/bin/python
SCRIPTS := $(addprefix benchmarks/,decode.py oks_nms.py table_3.py zoo_figures.py)
PYTEST := PCRPOSE_EXPECT_WHEEL=1 $(WHEEL_RUN) -m pytest

.NOTPARALLEL:
.PHONY: help demo lint wheel unit doctest test docs bench mutate clean

help:
	@sed -n 's/^# \(make .*\)/\1/p' Makefile

demo: $(VENV)/demo.stamp
	$(RUN) examples/demo.py $${IMAGE:+"$$IMAGE"}

test: lint wheel unit doctest docs

lint: $(VENV)/dev.stamp
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy $(wildcard src tests examples benchmarks)

wheel: $(VENV)/dev.stamp
	rm -rf build/dist $(WHEEL_VENV)
	$(RUN) -m build --wheel --no-isolation --outdir build/dist .
	$(RUN) -m venv --without-pip $(WHEEL_VENV)
	$(RUN) -m pip --quiet --python $(WHEEL_RUN) install --no-deps --no-index build/dist/*.whl
	$(RUN) -c "import sysconfig; print(sysconfig.get_path('purelib'))" \
	  > "$$($(WHEEL_RUN) -c "import sysconfig; print(sysconfig.get_path('purelib'))")/dependencies.pth"

unit: wheel
	OMP_NUM_THREADS=1 $(PYTEST) --numprocesses logical --dist loadfile

doctest: wheel
	$(PYTEST) --doctest-modules --pyargs pcrpose

docs: $(VENV)/dev.stamp
	NO_MKDOCS_2_WARNING=1 $(RUN) -m mkdocs build --quiet --strict

bench: $(VENV)/dev.stamp
	@set -e; for script in $(SCRIPTS); do echo "== $$script"; $(RUN) "$$script"; done

mutate: $(VENV)/dev.stamp
	$(RUN) tests/mutation/mutate.py --jobs $(JOBS)

clean:
	rm -rf build site .mypy_cache .pytest_cache .ruff_cache

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

# An editable install: the checkout is what runs. The build backend comes first, at its pinned version.
$(VENV)/demo.stamp: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(INSTALL) hatchling editables
	$(INSTALL) --no-build-isolation -e '.[demo]'
	touch $@

$(VENV)/dev.stamp: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(INSTALL) hatchling editables
	$(INSTALL) --no-build-isolation -e '.[dev]'
	touch $@ $(VENV)/demo.stamp
