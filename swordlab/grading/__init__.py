"""Checks of live state: what a check asks with, how it says what it found, and what becomes of the results."""
