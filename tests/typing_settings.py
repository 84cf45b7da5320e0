"""Settings for mypy alone: those of the demo, with the models of the examples."""

from __future__ import annotations

from demo_project.settings import *  # noqa: F403  # Whatever it has.

INSTALLED_APPS += ["examples"]  # noqa: F405
