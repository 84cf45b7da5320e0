"""Packaging of arcly_channels; the tools' settings are in pyproject.toml."""

from __future__ import annotations

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION: dict[str, str] = {}
exec((HERE / "arcly_channels" / "_version.py").read_text(encoding="utf-8"), VERSION)


def readme_for_an_index() -> str:
    """Return the README as it can be read alone: of what lies beside it, only the names stay.

    An index of packages shows neither the pages of docs/ nor the pictures.
    """
    text = (HERE / "README.md").read_text(encoding="utf-8")
    without_pictures = re.sub(
        r"^!\[[^\]]*\]\((?!https?:)[^)]*\)\n\n?", "", text, flags=re.MULTILINE
    )
    alone = re.sub(r"\[([^\]]+)\]\((?!https?:)[^)]*\)", r"\1", without_pictures)
    return f"{alone}\nThe pages and the demo that this speaks of are in the source distribution.\n"


setup(
    name="arcly_channels",
    version=VERSION["__version__"],
    description="A Django Channels layer and consumer mixin for real-time servers that stay up.",
    long_description=readme_for_an_index(),
    long_description_content_type="text/markdown",
    license_expression="MIT",
    author="The arcly_channels authors",
    keywords=["django", "channels", "websocket", "asgi", "daphne", "broadcast", "backpressure"],
    packages=find_packages(include=["arcly_channels", "arcly_channels.*"]),
    package_data={"arcly_channels": ["py.typed", "static/**/*", "templates/**/*", "**/*-tpl"]},
    py_modules=["pytest_arcly_channels"],
    python_requires=">=3.10",
    install_requires=["django>=4.2", "channels>=4.2", "orjson>=3.10"],
    extras_require={
        "daphne": ["daphne>=4.1"],
        "prometheus": ["django-prometheus>=2.3"],
        "redis": ["redis[hiredis]>=5", "msgpack>=1"],
        "jwt": ["PyJWT[crypto]>=2.8"],
        "typed": ["pydantic>=2.10"],
        "testing": ["daphne>=4.1"],
        "dev": [
            "build>=1.2",
            "celery>=5.3",
            "chanx[channels]>=2",
            "cryptography>=42",
            "django-stubs>=5",
            "django-tenants>=3.7",
            "granian>=1.6",
            "hypercorn>=0.17",
            "hypothesis>=6.100",
            "jsonschema>=4.23",
            "mkdocs-material>=9.5",
            "mypy>=1.10",
            "playwright>=1.45",
            "psycopg[binary]>=3.1",
            "pytest>=8",
            "pytest-asyncio>=0.24",
            "pytest-django>=4.8",
            "pytest-xdist>=3.8",
            "python-socketio>=5.11",
            "PyYAML>=6",
            "ruff>=0.6",
            "setuptools>=77",
            "twine>=6",
            "types-jsonschema>=4.23",
            "types-PyYAML>=6",
            "uvicorn>=0.30",
            "uvloop>=0.19",
            "websockets>=13",
            "wsproto>=1.2",
        ],
    },
    # Named so that `-p no:arcly_channels` turns it off.
    entry_points={"pytest11": ["pytest_arcly_channels = pytest_arcly_channels"]},
    classifiers=[
        "Development Status :: 4 - Beta",
        "Environment :: Web Environment",
        "Framework :: Django",
        "Framework :: Django :: 4.2",
        "Framework :: Django :: 5.2",
        "Framework :: Django :: 6.0",
        "Framework :: AsyncIO",
        "Intended Audience :: Developers",
        "Operating System :: OS Independent",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3 :: Only",
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Internet :: WWW/HTTP",
        "Topic :: System :: Networking",
        "Typing :: Typed",
    ],
)
