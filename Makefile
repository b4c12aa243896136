# The lab's one interface. The text after ## is the help, and help is the default.
PYTHON ?= python3
VENV   := .swordlab/venv/bin
LAB    := $(VENV)/python -m swordlab
TREE   ?= labs

.DEFAULT_GOAL := help
.PHONY: help setup setup-test demo up down status logs shell clean progress check test lint lock doctor

help: ## this list
	@sed -n 's/^\([a-z][a-zA-Z-]*\):[^#]*## \(.*\)/  make \1 — \2/p' Makefile

setup:
	@$(PYTHON) swordlab/bootstrap.py

setup-test:
	@$(PYTHON) swordlab/bootstrap.py test

demo: setup ## the whole pipeline on the real engines, with the report's figures
	@$(LAB) demo

up: setup ## start the cluster
	@$(LAB) up

down: setup ## stop the cluster; data stays
	@$(LAB) down

status: setup ## service, health, port, memory, uptime
	@$(LAB) status

logs: setup ## follow one service's log: make logs SERVICE=kafka
	@$(LAB) logs "$(SERVICE)"

shell: setup ## a shell in which the report's commands work as typed
	@$(LAB) shell

clean: setup ## stop the cluster and delete its data (asks first)
	@$(LAB) clean

lab-%: setup ## bring up what lab N needs and say what to do
	@$(LAB) lab $*

check-%: setup ## check lab N on the running engines
	@$(LAB) check $* --tree "$(TREE)"

watch-%: setup ## check lab N again whenever you save
	@$(LAB) watch $*

hint-%: setup ## one hint more for lab N
	@$(LAB) hint $*

reset-%: setup ## lab N's starter again; your file is kept aside
	@$(LAB) reset $*

solution-%: setup ## the solution of lab N in place of yours, which is kept aside (asks first)
	@$(LAB) solution $* $(if $(YES),--yes)

catch-up-%: setup ## the earlier labs' solutions, so that you can begin at lab N
	@$(LAB) catch-up $*

progress: setup ## the last result of each lab
	@$(LAB) progress

check: setup ## check all labs
	@$(LAB) check --tree "$(TREE)" $(if $(JSON),--json "$(JSON)") $(if $(JUNITXML),--junitxml "$(JUNITXML)")

doctor: setup ## whether this machine can run the lab, and what to do where it cannot
	@$(LAB) doctor

lock: setup ## complete engines.lock and the Python lock files after an edit
	@$(LAB) lock

lint: setup-test ## ruff and mypy
	@$(VENV)/ruff check swordlab checks tests
	@$(VENV)/ruff format --check swordlab checks tests
	@$(VENV)/mypy

test: lint ## lint, types, and the tests on the real engines
	@$(VENV)/python -m pytest
