# make reproduce [PROFILE=small|smoke|paper] [ONLY=02] | make test | make lab [ARGS="--no-browser"] | make status | make clean
PROFILE ?= small
ONLY ?=
ARGS ?=
PYTHON ?= python3
BIN := .venv/bin

.PHONY: reproduce test lab status clean

reproduce: .venv/ready
	$(BIN)/python -m dsi_core reproduce --profile $(PROFILE) $(if $(ONLY),--only $(ONLY))

test: .venv/ready
	$(BIN)/python -m pytest -q --durations=10

lab: .venv/ready
	$(BIN)/jupyter lab notebooks $(ARGS)

status: .venv/ready
	$(BIN)/python -m dsi_core status

clean: # the environment and executed notebooks; results in store/ stay
	rm -rf .venv executed

.venv/ready: constraints.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[all]'
	touch $@
