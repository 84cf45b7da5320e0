"""Packaging of arcly_channels; the tools' settings are in pyproject.toml."""

from __future__ import annotations

from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION: dict[str, str] = {}
exec((HERE / "arcly_channels" / "_version.py").read_text(encoding="utf-8"), VERSION)

setup(
    name="arcly_channels",
    version=VERSION["__version__"],
    description="A Django Channels layer and consumer mixin for real-time servers that stay up.",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="MIT",
    packages=find_packages(include=["arcly_channels", "arcly_channels.*"]),
    package_data={
        "arcly_channels": [
            "py.typed",
            "static/arcly_channels/*",
            "templates/admin/arcly_channels/*.html",
        ]
    },
    python_requires=">=3.10",
    install_requires=["django>=4.2", "channels>=4.2", "orjson>=3.10"],
    extras_require={
        "daphne": ["daphne>=4.1"],
        "prometheus": ["django-prometheus>=2.3"],
        "redis": ["redis[hiredis]>=5", "msgpack>=1"],
        "jwt": ["PyJWT[crypto]>=2.8"],
        "typed": ["pydantic>=2.10"],
        "dev": [
            "build>=1.2",
            "celery>=5.3",
            "chanx>=2",
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
            "pytest>=8",
            "pytest-asyncio>=0.24",
            "pytest-django>=4.8",
            "pytest-xdist>=3.6",
            "python-socketio>=5.11",
            "PyYAML>=6",
            "ruff>=0.6",
            "twine>=6",
            "types-jsonschema>=4.23",
            "types-PyYAML>=6",
            "uvicorn>=0.30",
            "uvloop>=0.19",
            "websockets>=13",
            "wsproto>=1.2",
        ],
    },
    classifiers=[
        "Framework :: Django",
        "Framework :: Django :: 4.2",
        "Framework :: Django :: 5.2",
        "Framework :: Django :: 6.0",
        "Framework :: AsyncIO",
        "License :: OSI Approved :: MIT License",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Typing :: Typed",
    ],
)
