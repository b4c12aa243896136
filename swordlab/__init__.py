"""Swordlab: a teaching lab for data engineering on real engines, driven by the Makefile."""
