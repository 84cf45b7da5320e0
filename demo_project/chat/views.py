"""The page of the chat: first who and where, then the rooms; and what a moderator may do."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from django import forms
from django.contrib.auth import authenticate
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from arcly_channels import broadcast, disconnect_user
from arcly_channels.identity import get_tenants
from arcly_channels.identity.tokens import issue_token
from demo_project.chat.gateway import MAX_TEXT

LOGIN_LIFETIME = 8 * 60 * 60
"""In seconds."""


class EnterForm(forms.Form):
    """What the chat asks of somebody who comes in. A name that has an account needs a password."""

    name = forms.CharField(label="Your name", max_length=30)
    password = forms.CharField(
        required=False, widget=forms.PasswordInput, help_text="Only if you have an account."
    )
    room = forms.CharField(max_length=60, initial="lobby")
    tenant: Any = None
    user: Any = None

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        if not name.isprintable():
            raise forms.ValidationError("Please use visible characters only.")
        return name

    def clean(self) -> None:
        name, password = self.cleaned_data.get("name"), self.cleaned_data["password"]
        if password or User.objects.filter(username__iexact=name).exists():
            self.user = authenticate(username=name, password=password)
            if not self.user or not self.user.groups.filter(name=self.tenant.id).exists():
                raise forms.ValidationError("That is no account here, or not its password.")


@require_safe
def chat(request: Any) -> HttpResponse:
    """Show the chat to those who have a name, and ask the others for one."""
    name = name_of(request)
    if name is None or request.tenant is None:
        return enter(request)
    context = {"name": name, "max_text": MAX_TEXT, "claims": request.claims}
    return render(request, "chat/page.html", {"tenant": request.tenant, **context})


@require_http_methods(["GET", "HEAD", "POST"])
def enter(request: Any) -> HttpResponse:
    """Remember the name, where the gateway finds it: in a token or, picked, in the session."""
    if request.tenant is None:
        raise PermissionDenied("this chat is suspended")
    form = EnterForm(request.POST or None, initial={"name": name_of(request)}, label_suffix="")
    form.tenant = request.tenant
    if not form.is_valid():
        context = {"form": form, "tenant": request.tenant, "port": request.get_port()}
        return render(request, "chat/enter.html", context)
    response = redirect(f"{reverse('chat')}#{quote(form.cleaned_data['room'], safe='')}")
    request.session["name"] = None if form.user else form.cleaned_data["name"]
    response.delete_cookie("access_token")
    if form.user:
        role = "moderator" if form.user.is_staff else "member"
        claims = {"sub": form.user.get_username(), "role": role, "tenant": request.tenant.id}
        token = issue_token(claims, lifetime=LOGIN_LIFETIME)
        options: dict[str, Any] = {"httponly": True, "samesite": "Lax"}
        response.set_signed_cookie("access_token", token, max_age=LOGIN_LIFETIME, **options)
    return response


@require_POST
def moderate(request: Any, action: str) -> HttpResponse:
    """Act on the sockets and tenants of this process: no other would reach them."""
    actions: dict[str, Any] = {
        "suspend": get_tenants().suspend,
        "resume": get_tenants().resume,
        "kick": disconnect_user,
    }
    who = request.POST.get("who")
    if not request.claims or request.claims.get("role") != "moderator":
        raise PermissionDenied("this is for moderators")
    if not who or action not in actions:
        raise Http404
    result = "done" if actions[action](who) else "nobody there"
    broadcast("notice", {"text": f"{action} {who}: {result}"}, tenant=request.tenant)
    return HttpResponse(status=204)


def name_of(request: Any) -> Any:
    """Return who the token says this is, or else the name that was picked, if any."""
    return request.claims["sub"] if request.claims else request.session.get("name")
