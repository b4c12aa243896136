# The lab's one interface. The text after ## is the help, and help is the default.
PYTHON ?= python3
VENV   := .swordlab/venv/bin
SWORDLAB := $(VENV)/python -m swordlab
TREE   ?= labs
OUT    ?= grades

.DEFAULT_GOAL := help
.PHONY: help setup setup-test demo up down status logs shell clean progress check test bench lint lock doctor

help: ## this list
	@sed -n 's/^\([a-z][a-zA-Z-]*\):[^#]*## \(.*\)/  make \1 — \2/p' Makefile

setup:
	@$(PYTHON) swordlab/bootstrap.py

setup-test:
	@$(PYTHON) swordlab/bootstrap.py test

demo: setup ## the whole pipeline on the real engines, with the report's figures
	@$(SWORDLAB) demo

up: setup ## start the cluster
	@$(SWORDLAB) up

down: setup ## stop the cluster; data stays
	@$(SWORDLAB) down

status: setup ## service, health, port, memory, uptime
	@$(SWORDLAB) status

logs: setup ## follow one service's log: make logs SERVICE=kafka
	@$(SWORDLAB) logs "$(SERVICE)"

shell: setup ## a shell in which the report's commands work as typed
	@$(SWORDLAB) shell

clean: setup ## stop the cluster and delete its data (asks first)
	@$(SWORDLAB) clean

lab-%: setup ## bring up what lab N needs and say what to do
	@$(SWORDLAB) lab $*

check-%: setup ## check lab N on the running engines
	@$(SWORDLAB) check $* --tree "$(TREE)"

watch-%: setup ## check lab N again whenever you save
	@$(SWORDLAB) watch $*

hint-%: setup ## one hint more for lab N
	@$(SWORDLAB) hint $*

reset-%: setup ## lab N's starter again; your file is kept aside
	@$(SWORDLAB) reset $*

solution-%: setup ## the solution of lab N in place of yours, which is kept aside (asks first)
	@$(SWORDLAB) solution $* $(if $(YES),--yes)

catch-up-%: setup ## the earlier labs' solutions, so that you can begin at lab N
	@$(SWORDLAB) catch-up $*

progress: setup ## the last result of each lab
	@$(SWORDLAB) progress

check: setup ## check all labs
	@$(SWORDLAB) check --tree "$(TREE)" $(if $(JSON),--json "$(JSON)") $(if $(JUNITXML),--junitxml "$(JUNITXML)")

doctor: setup ## whether this machine can run the lab, and what to do where it cannot
	@$(SWORDLAB) doctor

lock: setup ## complete engines.lock and the Python lock files after an edit
	@$(SWORDLAB) lock

verify: setup ## prove the course: solutions, starters, right and wrong variants (LAB=4 ONLY=trigger)
	@$(SWORDLAB) verify $(if $(LAB),--lab $(LAB)) $(if $(ONLY),--only "$(ONLY)")

bench: setup ## measure what the lab costs, and write docs/bench.md (ONLY="memory latency")
	@$(VENV)/python -m bench $(ONLY)

grade: setup ## grade one submission: make grade SUBMISSION=work.zip OUT=grades
	@$(SWORDLAB) grade "$(SUBMISSION)" --out "$(OUT)"

grade-class: setup ## grade a folder of submissions: make grade-class SUBMISSIONS=folder OUT=grades SLICE=3/20
	@$(SWORDLAB) grade-class "$(SUBMISSIONS)" --out "$(OUT)" --slice "$(SLICE)" $(if $(GRADERS),--graders $(GRADERS))

gradescope: setup ## the zip of a Gradescope autograder
	@$(SWORDLAB) gradescope

fetch: setup ## fetch all that the lab needs, to work without a network later
	@$(SWORDLAB) fetch

lint: setup-test ## ruff and mypy
	@$(VENV)/ruff check swordlab checks tests bench
	@$(VENV)/ruff format --check swordlab checks tests bench
	@$(VENV)/mypy

test: lint ## lint, types, and the tests on the real engines
	@$(VENV)/python -m pytest
