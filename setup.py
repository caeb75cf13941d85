"""The packaging entry point; everything it needs to know is in pyproject.toml."""

from setuptools import setup

setup()
