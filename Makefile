# The lab's one interface. The text after ## is the help, and help is the default.
PYTHON ?= python3
VENV   := .swordlab/venv/bin
LAB    := $(VENV)/python -m swordlab

.DEFAULT_GOAL := help
.PHONY: help setup setup-test demo up down status logs shell clean test lint

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

lint: setup-test ## ruff and mypy
	@$(VENV)/ruff check swordlab tests
	@$(VENV)/ruff format --check swordlab tests
	@$(VENV)/mypy

test: lint ## lint, types, and the tests on the real engines
	@$(VENV)/python -m pytest
