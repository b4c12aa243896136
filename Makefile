# The lab's one interface. The text after ## is the help, grouped by ##@, and help is the default.
PYTHON ?= python3
VENV   := .swordlab/venv/bin
SWORDLAB := $(VENV)/python -m swordlab
TREE   ?= labs
OUT    ?= grades

.DEFAULT_GOAL := help
.PHONY: help setup setup-test fetch demo up down status logs shell clean doctor progress check \
        verify grade grade-class gradescope test test-long lint bench lock

help: ## this list
	@awk -F ':.*## ' '/^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z%-]+:.*## / {sub("%", "N", $$1); printf "  make %-14s %s\n", $$1, $$2}' Makefile

setup:
	@$(PYTHON) swordlab/bootstrap.py

setup-test:
	@$(PYTHON) swordlab/bootstrap.py test

##@ See it work
demo: setup ## the whole pipeline on the real engines, with the report's figures
	@$(SWORDLAB) demo

##@ Do the labs (N = 1 to 10)
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

check: setup ## check all labs (JSON=file, JUNITXML=file)
	@$(SWORDLAB) check --tree "$(TREE)" $(if $(JSON),--json "$(JSON)") $(if $(JUNITXML),--junitxml "$(JUNITXML)")

##@ The cluster
up: setup ## start it
	@$(SWORDLAB) up

down: setup ## stop it; data stays
	@$(SWORDLAB) down

status: setup ## service, health, port, memory, uptime
	@$(SWORDLAB) status

logs: setup ## follow one service's log: make logs SERVICE=kafka
	@$(SWORDLAB) logs "$(SERVICE)"

shell: setup ## a shell in which the report's commands work as typed
	@$(SWORDLAB) shell

clean: setup ## stop it and delete its data (asks first)
	@$(SWORDLAB) clean

doctor: setup ## whether this machine can run the lab, and what to do where it cannot
	@$(SWORDLAB) doctor

fetch: setup ## fetch all that the lab needs, to work without a network later
	@$(SWORDLAB) fetch

##@ For instructors
verify: setup ## prove the course: solutions, starters, right and wrong variants (LAB=4 ONLY=trigger)
	@$(SWORDLAB) verify $(if $(LAB),--lab $(LAB)) $(if $(ONLY),--only "$(ONLY)") --slice "$(SLICE)"

grade: setup ## grade one submission: make grade SUBMISSION=work.zip OUT=grades
	@$(SWORDLAB) grade "$(SUBMISSION)" --out "$(OUT)"

grade-class: setup ## grade a folder of submissions: make grade-class SUBMISSIONS=folder SLICE=3/20
	@$(SWORDLAB) grade-class "$(SUBMISSIONS)" --out "$(OUT)" --slice "$(SLICE)" $(if $(GRADERS),--graders $(GRADERS))

gradescope: setup ## the zip of a Gradescope autograder
	@$(SWORDLAB) gradescope

##@ For maintainers
test: lint ## lint, types, and the tests on the real engines (with SWORDLAB_CI=1 those of test-long too)
	@$(VENV)/python -m pytest $(if $(SWORDLAB_CI),-m "")

test-long: lint ## what takes long: random kills, bad files, Docker
	@$(VENV)/python -m pytest -m long

lint: setup-test ## ruff and mypy
	@$(VENV)/ruff check swordlab checks tests bench
	@$(VENV)/ruff format --check swordlab checks tests bench
	@$(VENV)/mypy

bench: setup ## measure what the lab costs, and write docs/bench.md (ONLY="memory latency")
	@$(VENV)/python -m bench $(ONLY)

lock: setup ## complete engines.lock and the Python lock files after an edit
	@$(SWORDLAB) lock
