"""The page of the chat: first who and where, then the rooms; and what a moderator may do."""

from __future__ import annotations

import secrets
from typing import Any
from urllib.parse import quote

from django import forms
from django.contrib.auth import authenticate
from django.contrib.auth.models import User
from django.core.cache import cache
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from arcly_channels import broadcast, disconnect_user
from arcly_channels.identity import get_tenants
from arcly_channels.identity.tokens import issue_token
from demo_project.chat.gateway import KICKED, MAX_TEXT, is_kicked, kicked
from demo_project.pages import show

LOGIN_LIFETIME = 8 * 60 * 60  # In seconds.
KICKED_FOR = 5 * 60


class EnterForm(forms.Form):
    """What the chat asks of somebody who comes in. A name that has an account needs a password."""

    name = forms.CharField(label="Your name", max_length=30)
    password = forms.CharField(
        required=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
        help_text="Only if you have an account.",
    )
    room = forms.CharField(max_length=60, initial="lobby")

    def __init__(self, request: Any) -> None:
        name = request.claims and request.claims["name"]
        super().__init__(request.POST or None, initial={"name": name}, label_suffix="")
        self.request = request

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        if not name.isprintable():  # As are the characters that turn the direction of a line.
            raise forms.ValidationError("Please use visible characters only.")
        return name

    def clean(self) -> None:
        name, password = self.cleaned_data.get("name", ""), self.cleaned_data["password"]
        has_account = password or User.objects.filter(username__iexact=name).exists()
        who = self._account(name, password) if has_account else self._guest(name)
        if is_kicked(who) or is_kicked(self.request.claims):
            raise forms.ValidationError(f"Sorry, {KICKED}.")
        self.claims = {**who, "tenant": self.request.tenant.id}

    def _account(self, name: str, password: str) -> dict[str, str]:
        if not password:
            raise forms.ValidationError("That name has an account: log in, or pick another name.")
        user = authenticate(username=name, password=password)
        if not isinstance(user, User) or not user.groups.filter(name=self.request.tenant.id):
            raise forms.ValidationError("That is no account here, or not its password.")
        role = "moderator" if user.is_staff else "member"
        return {"sub": user.username, "name": user.username, "role": role}

    def _guest(self, name: str) -> dict[str, str]:
        """Return the claims of a guest, who stays the same under another name."""
        before = self.request.claims or {}
        is_guest = before.get("role") == "guest"
        sub = before["sub"] if is_guest else f"guest-{secrets.token_hex(3)}"
        return {"sub": sub, "name": name, "role": "guest"}


@require_safe
def chat(request: Any) -> HttpResponse:
    """Show the chat to those who have a name, and ask the others for one."""
    if not request.claims or not request.tenant:
        return enter(request)
    context = {"tenant": request.tenant, "claims": request.claims, "max_text": MAX_TEXT}
    return show(request, "chat/page.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
def enter(request: Any) -> HttpResponse:
    """Put who this is into a token, in a cookie that the gateway gets as well."""
    if request.tenant is None:
        raise PermissionDenied("this chat is suspended")
    form = EnterForm(request)
    if not form.is_valid():
        context = {"form": form, "tenant": request.tenant, "port": request.get_port()}
        return show(request, "chat/enter.html", context)
    response = redirect(f"{reverse('chat')}#{quote(form.cleaned_data['room'], safe='')}")
    token = issue_token(form.claims, lifetime=LOGIN_LIFETIME)
    options: dict[str, Any] = {"httponly": True, "samesite": "Lax"}
    response.set_signed_cookie("access_token", token, max_age=LOGIN_LIFETIME, **options)
    return response


@require_POST
def moderate(request: Any, action: str) -> HttpResponse:
    """Act on the sockets and tenants of all processes; a kick counts those of this one."""
    actions = {"suspend": get_tenants().suspend, "kick": kick, "resume": resume}
    who = request.POST.get("who")
    if not request.claims or request.claims["role"] != "moderator":
        raise PermissionDenied("this is for moderators")
    if not who or action not in actions:
        raise Http404
    if (action, who) == ("suspend", request.tenant.id):
        raise PermissionDenied("nobody could resume it from here")
    result = "done" if actions[action](who) else "nobody on this server"
    broadcast("notice", {"text": f"{action} {who}: {result}"}, tenant=request.tenant)
    return HttpResponse(status=204)


def kick(sub: str) -> int:
    cache.set(kicked(sub), True, KICKED_FOR)  # First, so that nobody slips in between.
    return disconnect_user(sub)


def resume(who: str) -> bool:
    return get_tenants().resume(who) or cache.delete(kicked(who))
