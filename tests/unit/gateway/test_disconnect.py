"""Whose sockets are closed: by their `sub` or their user, in a tenant, and when sessions end."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser
from django.contrib.auth.signals import user_logged_out
from django.db import transaction

from arcly_channels import adisconnect_user, disconnect_user
from arcly_channels.fanout.outbox import Outbox
from arcly_channels.gateway.disconnect import follow_users
from arcly_channels.identity import Tenant
from arcly_channels.identity.claims import groups_of
from arcly_channels.layers.local import LocalChannelLayer

numbers = itertools.count()


class Staff(get_user_model()):  # type: ignore[misc]
    """The user by another name, as many an admin has it."""

    class Meta:
        proxy = True
        app_label = "auth"


class User:
    is_authenticated = True

    def __init__(self, pk: Any, name: str = "") -> None:
        self.pk = pk
        self.name = name


def claims_of_name(user: Any) -> Any:
    return {"sub": user.name} if user.name else None


async def async_claims_of_name(user: Any) -> Any:
    return claims_of_name(user)


@pytest.fixture(autouse=True)
def project(settings: Any) -> Any:
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "arcly_channels.layers.LocalChannelLayer"}}
    settings.ARCLY_CHANNELS = {"CLAIMS_FROM_USER": True}
    return settings


def connected(sub: str, tenant: Any = None) -> Outbox:
    """Return the outbox of a socket that is in the groups a gateway puts it into."""
    layer, outbox, claims = get_channel_layer(), Outbox(), {"sub": sub, "jti": "j"}
    assert isinstance(layer, LocalChannelLayer)
    id = layer.connect(f"specific.x!{next(numbers)}", outbox)
    for group in groups_of(claims, tenant):
        async_to_sync(layer.join)(id, group)
    return outbox


def close(way: str, *args: Any, **options: Any) -> int:
    if way == "async":
        return async_to_sync(adisconnect_user)(*args, **options)
    return disconnect_user(*args, **options)


BOTH_WAYS = pytest.mark.parametrize("way", ["plain", "async"])


@BOTH_WAYS
def test_a_user_is_disconnected_by_the_object(way: str) -> None:
    ann, bob = connected("7"), connected("8")
    assert close(way, User(7)) == 1
    assert (ann.close_code, bob.close_code) == (4401, None)


@BOTH_WAYS
@pytest.mark.django_db
@pytest.mark.parametrize("make", [claims_of_name, async_claims_of_name])
def test_a_user_is_known_by_the_claims_of_the_project(project: Any, way: str, make: Any) -> None:
    project.ARCLY_CHANNELS = {"CLAIMS_FROM_USER": make}
    ann, seven = connected("ann"), connected("7")
    assert close(way, User(7, "ann")) == 1
    assert (ann.close_code, seven.close_code) == (4401, None)
    assert close(way, User(7)) == 0  # This one has no claims, and so no sockets.


@BOTH_WAYS
def test_a_user_without_claims_of_sessions_is_known_by_the_key(project: Any, way: str) -> None:
    project.ARCLY_CHANNELS = {}
    connected("7")
    assert close(way, User(7)) == 1


@BOTH_WAYS
@pytest.mark.parametrize("who", [AnonymousUser(), None, 1.5, object()])
def test_disconnecting_nobody_is_a_mistake(way: str, who: Any) -> None:
    with pytest.raises(TypeError):
        close(way, who)


@BOTH_WAYS
@pytest.mark.parametrize("tenant", ["acme", Tenant("acme")])
def test_a_user_is_disconnected_in_one_tenant(way: str, tenant: Any) -> None:
    acme, globex, none = connected("7", Tenant("acme")), connected("7", "globex"), connected("7")
    other = connected("8", "acme")
    assert close(way, "7", tenant=tenant) == 1
    assert acme.close_code == 4401
    assert {each.close_code for each in (globex, none, other)} == {None}
    assert close(way, "7") == 2


# When sessions end


@pytest.fixture
def ann(db: None, settings: Any) -> Any:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # A quick one.
    return get_user_model().objects.create_user("ann", password="old")


@pytest.fixture
def committed(django_capture_on_commit_callbacks: Any) -> Callable[[], Any]:
    return lambda: django_capture_on_commit_callbacks(execute=True)


def log_out(user: Any) -> None:
    user_logged_out.send(sender=type(user), request=None, user=user)


def set_password(user: Any) -> None:
    user.set_password("new")
    user.save()


def deactivate(user: Any) -> None:
    user.is_active = False
    user.save(update_fields=["is_active"])


def delete(user: Any) -> None:
    user.delete()


def deactivate_staff(user: Any) -> None:
    follow_users()  # As at the start, when the models of a project are all there.
    deactivate(Staff.objects.get(pk=user.pk))


ENDS = pytest.mark.parametrize("end", [log_out, set_password, deactivate, deactivate_staff, delete])


@ENDS
def test_sockets_end_with_the_session(ann: Any, committed: Any, end: Any) -> None:
    hers, other = connected(str(ann.pk)), connected("0")
    with committed():
        end(ann)
    assert (hers.close_code, other.close_code) == (4401, None)


@ENDS
def test_sockets_end_whatever_claims_a_user_has_left(
    project: Any, ann: Any, committed: Any, end: Any
) -> None:
    def make(user: Any) -> Any:
        return {"sub": user.get_username()} if user.is_active else None

    project.ARCLY_CHANNELS = {"CLAIMS_FROM_USER": make}
    hers = connected("ann")
    with committed():
        end(ann)
    assert hers.close_code == 4401


@ENDS
def test_sockets_stay_where_the_project_wants_that(
    project: Any, ann: Any, committed: Any, end: Any
) -> None:
    project.ARCLY_CHANNELS = {"CLAIMS_FROM_USER": True, "DISCONNECT_ON_LOGOUT": False}
    hers = connected(str(ann.pk))
    with committed():
        end(ann)
    assert hers.close_code is None


@ENDS
def test_sockets_of_tokens_do_not_depend_on_sessions(
    project: Any, ann: Any, committed: Any, end: Any
) -> None:
    project.ARCLY_CHANNELS = {"JWT": {"KEYS": ["s" * 32]}}
    hers = connected(str(ann.pk))
    with committed():
        end(ann)
    assert hers.close_code is None


@pytest.mark.parametrize("change", ["name", "hash", "nothing"])
def test_sockets_outlive_other_changes_of_a_user(
    settings: Any, ann: Any, committed: Any, change: str
) -> None:
    hers = connected(str(ann.pk))
    with committed():
        if change == "name":
            ann.first_name = "Ann"
        elif change == "hash":  # A login renews one made in an older way, which is no new password.
            settings.PASSWORD_HASHERS = [
                "django.contrib.auth.hashers.ScryptPasswordHasher",
                *settings.PASSWORD_HASHERS,
            ]
            before = ann.password
            assert ann.check_password("old")
            assert ann.password != before
        ann.save()
    assert hers.close_code is None


def test_a_change_that_is_rolled_back_closes_nothing(ann: Any, committed: Any) -> None:
    hers = connected(str(ann.pk))
    with committed(), suppress(ZeroDivisionError), transaction.atomic():
        deactivate(ann)
        raise ZeroDivisionError
    assert hers.close_code is None


@ENDS
def test_a_logout_works_where_no_layer_is_ours(
    project: Any, ann: Any, committed: Any, caplog: pytest.LogCaptureFixture, end: Any
) -> None:
    project.CHANNEL_LAYERS = {}
    with committed():
        end(ann)
    assert not caplog.records


def test_an_anonymous_logout_is_none(committed: Any, db: None) -> None:
    with committed() as callbacks:
        user_logged_out.send(sender=type(None), request=None, user=None)
    assert callbacks == []
