"""The system checks: wrong settings are found before a server starts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from django.core.checks import CheckMessage, run_checks
from django.core.management import call_command
from django.core.management.base import SystemCheckError

from arcly_channels.checks import check_layers, check_prefixes

if TYPE_CHECKING:
    from pytest_django import Settings

OURS = "arcly_channels.layers.LocalChannelLayer"


def found() -> list[CheckMessage]:
    return run_checks(tags=["arcly_channels"])


def with_config(settings: Settings, config: Any) -> list[CheckMessage]:
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": OURS, "CONFIG": config}}
    return found()


def test_good_settings_have_no_messages() -> None:
    assert found() == []


def test_bad_setting_is_an_error_with_a_hint(settings: Settings) -> None:
    settings.ARCLY_CHANNELS = {"OUTBOUND_BUFFER": "many"}
    (error,) = found()
    assert (error.id, error.msg) == (
        "arcly_channels.E001",
        "ARCLY_CHANNELS['OUTBOUND_BUFFER'] is 'many'",
    )
    assert error.hint


def test_every_bad_setting_is_an_error(settings: Settings) -> None:
    settings.ARCLY_CHANNELS = {"OUTBOUND_BUFFER": 0, "UNKNOWN": 1}
    assert [error.id for error in found()] == ["arcly_channels.E001"] * 2


def test_setting_of_a_wrong_type_is_an_error(settings: Settings) -> None:
    settings.ARCLY_CHANNELS = ["OUTBOUND_BUFFER"]
    assert [error.id for error in found()] == ["arcly_channels.E001"]


def test_manage_py_check_fails_for_a_bad_setting(settings: Settings) -> None:
    settings.ARCLY_CHANNELS = {"UNKNOWN": 1}
    with pytest.raises(SystemCheckError, match=r"arcly_channels\.E001"):
        call_command("check")


@pytest.mark.parametrize(
    "config",
    [
        {"unknown": 1},
        {"overflow": "explode"},
        {"overflow": ["evict"]},
        {"capacity": 0},
        {"capacity": "100"},
        {"capacity": True},
        {"expiry": -1},
        {"group_expiry": None},
        {"channel_capacity": {"http.*": 0}},
        {"channel_capacity": ["http.*"]},
        {"channel_capacity": {1: 10}},
        {"channel_capacity": 5},
        {"shards": 0},
        {"shards": "8"},
        {"shards": 1.5},
        ["capacity"],
        "capacity",
        None,
    ],
    ids=str,
)
def test_layer_whose_config_cannot_be_used_is_an_error(settings: Settings, config: Any) -> None:
    (error,) = with_config(settings, config)
    assert error.id == "arcly_channels.E002"
    assert 'CHANNEL_LAYERS["default"]' in error.msg
    assert error.hint


def test_good_config_of_a_layer_has_no_messages(settings: Settings) -> None:
    config = {"capacity": 10, "channel_capacity": {"http.*": 5}, "overflow": "drop_oldest"}
    assert with_config(settings, config) == []


def test_every_layer_is_checked(settings: Settings) -> None:
    bad = {"BACKEND": OURS, "CONFIG": {"capacity": 0}}
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": OURS}, "other": bad}
    (error,) = found()
    assert 'CHANNEL_LAYERS["other"]' in error.msg


@pytest.mark.parametrize(
    "layer",
    [
        {"BACKEND": "channels.layers.InMemoryChannelLayer", "CONFIG": {"capacity": 0}},
        {"BACKEND": "channels.layers.InMemoryChannelLayer"},
    ],
    ids=str,
)
def test_layer_that_is_not_ours_is_left_to_channels(settings: Settings, layer: Any) -> None:
    settings.CHANNEL_LAYERS = {"default": layer}
    assert found() == []


@pytest.mark.parametrize(
    "layer",
    [
        {"BACKEND": "not.installed.Layer"},
        {"BACKEND": "arcly_channels.layers.LocalChanelLayer"},
        {"BACKEND": "LocalChannelLayer"},
        {"BACKEND": "arcly_channels.layers"},
        {"BACKEND": None},
        {"CONFIG": {}},
        OURS,
        None,
    ],
    ids=str,
)
def test_layer_whose_backend_cannot_be_imported_is_an_error(settings: Settings, layer: Any) -> None:
    settings.CHANNEL_LAYERS = {"default": layer}
    (error,) = found()
    assert error.id == "arcly_channels.E004"
    assert 'CHANNEL_LAYERS["default"]' in error.msg


@pytest.mark.parametrize("layers", [[OURS], OURS, None], ids=str)
def test_layers_that_are_no_dict_are_an_error(settings: Settings, layers: Any) -> None:
    settings.CHANNEL_LAYERS = layers
    (error,) = found()
    assert (error.id, error.msg) == ("arcly_channels.E004", "CHANNEL_LAYERS is not a dict")
    assert f'"BACKEND": "{OURS}"' in str(error.hint)


def test_layers_without_an_alias_are_told_the_shape(settings: Settings) -> None:
    settings.CHANNEL_LAYERS = {"BACKEND": OURS}
    (error,) = found()
    assert '{"default": {"BACKEND": ' in str(error.hint)


def test_option_beside_the_config_is_an_error(settings: Settings) -> None:
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": OURS, "capacity": 10}}
    (error,) = found()
    assert error.id == "arcly_channels.E002"
    assert error.hint == 'Write "CONFIG": {"capacity": …}.'


@pytest.mark.parametrize(
    ("backend", "hint"),
    [
        ("arcly_channels.layers.LocalChanelLayer", f"Did you mean {OURS}?"),
        ("arcly_channel.layers.LocalChannelLayer", f"Did you mean {OURS}?"),
        ("arcly_channels.LocalChannelLayer", f"Did you mean {OURS}?"),
        ("channels_redis.core.RedisChannelLayer", "Is its package installed?"),
    ],
)
def test_hint_about_a_backend_says_what_was_meant(
    settings: Settings, backend: str, hint: str
) -> None:
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": backend}}
    (error,) = found()
    assert hint in str(error.hint)


@pytest.mark.parametrize(
    ("option", "hint"),
    [
        ("capcity", "Did you mean capacity? "),
        ("over_flow", "Did you mean overflow? "),
        ("hosts", "Drop it. "),  # Of channels_redis.
    ],
)
def test_unknown_option_of_a_layer_is_named(settings: Settings, option: str, hint: str) -> None:
    (error,) = with_config(settings, {option: 1})
    assert repr(option) in error.msg
    assert str(error.hint).startswith(hint)
    assert "group_expiry" in str(error.hint)


REDIS = "arcly_channels.layers.RedisChannelLayer"


@pytest.mark.parametrize(
    ("config", "is_warned"),
    [
        ({"hosts": ["redis://localhost/1"]}, True),
        ({"hosts": ["redis://localhost?db=2"]}, True),
        ({"hosts": [{"host": "localhost", "db": 3}]}, True),
        ({"hosts": [{"address": "redis://localhost:6379/4"}]}, True),
        ({"hosts": ["unix:///run/redis.sock?db=1"]}, True),
        ({"hosts": ["redis://localhost/1"], "prefix": "shop"}, False),
        ({"hosts": ["redis://localhost", "redis://localhost/0", ("localhost", 6379)]}, False),
        ({"hosts": ["unix:///run/redis.sock"]}, False),
        ({}, False),
    ],
)
def test_database_without_a_prefix_is_a_warning(
    settings: Settings, config: dict[str, Any], is_warned: bool
) -> None:
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": REDIS, "CONFIG": config}}
    assert [each.id for each in check_prefixes()] == ["arcly_channels.W004"] * is_warned


@pytest.mark.parametrize(
    "config",
    [
        {"hosts": "redis://localhost"},
        {"hosts": []},
        {"hosts": ["http://localhost"]},
        {"hosts": [{"master_name": "shop"}]},
        {"on_gap": "shout"},
        {"prefix": None},
        {"prefix": ""},
        {"prefix": "a b"},
        {"hosts": ("127.0.0.1", 6379)},
        {"self_delivery": "never"},
        {"symmetric_encryption_keys": "secret"},
        {"serializer_format": "json"},
    ],
)
def test_config_of_the_layer_over_redis_is_looked_at(
    settings: Settings, config: dict[str, Any]
) -> None:
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": REDIS, "CONFIG": config}}
    (error,) = check_layers()
    assert error.id == "arcly_channels.E002"
    assert next(iter(config)) in error.msg


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("ARCLY_CHANNEL", "ARCLY_CHANNELS"),
        ("ARCLY_CHANELS", "ARCLY_CHANNELS"),
        ("ARCLYCHANNELS", "ARCLY_CHANNELS"),
        ("CHANNEL_LAYER", "CHANNEL_LAYERS"),
        ("CHANNELS_LAYERS", "CHANNEL_LAYERS"),
    ],
)
def test_misspelt_setting_is_a_warning(settings: Settings, name: str, meant: str) -> None:
    setattr(settings, name, {})
    (warning,) = found()
    assert warning.id == "arcly_channels.W003"
    assert (warning.msg, warning.hint) == (
        f"nobody reads the setting {name}",
        f"Did you mean {meant}?",
    )


def test_other_settings_of_like_names_are_no_concern(settings: Settings) -> None:
    settings.ARCLY_CHANNELS_URL = settings.MY_CHANNEL_LAYER = "x"
    assert found() == []


def test_project_without_layers_has_no_messages(settings: Settings) -> None:
    del settings.CHANNEL_LAYERS
    assert found() == []
