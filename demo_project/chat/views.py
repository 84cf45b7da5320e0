"""The page of the chat: first who and where, then the rooms."""

from __future__ import annotations

from urllib.parse import quote

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from demo_project.chat.gateway import MAX_TEXT


class EnterForm(forms.Form):
    """What the chat asks of somebody who comes in."""

    name = forms.CharField(label="Your name", max_length=30)
    room = forms.CharField(max_length=60, initial="lobby")

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        if not name.isprintable():
            raise forms.ValidationError("Please use visible characters only.")
        return name


@require_safe
def chat(request: HttpRequest) -> HttpResponse:
    """Show the chat to those who have a name, and ask the others for one."""
    name = request.session.get("name")
    if name is None:
        return enter(request)
    return render(request, "chat/page.html", {"name": name, "max_text": MAX_TEXT})


@require_http_methods(["GET", "HEAD", "POST"])
def enter(request: HttpRequest) -> HttpResponse:
    """Remember the name in the session, where the gateway finds it, and go to the room."""
    known = {"name": request.session.get("name")}
    form = EnterForm(request.POST or None, initial=known, label_suffix="")
    if form.is_valid():
        request.session["name"] = form.cleaned_data["name"]
        return redirect(f"{reverse('chat')}#{quote(form.cleaned_data['room'], safe='')}")
    return render(request, "chat/page.html", {"form": form})
