"""The chat of the demo in real browsers, served by Daphne."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser.pages import Visit, in_module, join, wait_for_message, write
from tests.servers import Server, demo_server

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with demo_server(tmp_path_factory.mktemp("demo")) as server:
        yield server


def test_message_typed_in_one_browser_is_seen_in_the_other(visit: Visit) -> None:
    ada, bob = visit("Ada", "tea"), visit("Bob", "tea")
    write(ada, "The kettle is on")
    wait_for_message(bob, "The kettle is on")
    assert bob.get_by_role("log").get_by_text("Ada", exact=True).is_visible()
    write(bob, "On my way")
    wait_for_message(ada, "On my way")


def test_message_is_not_seen_in_another_room(visit: Visit) -> None:
    ada, eve = visit("Ada", "tea"), visit("Eve", "garden")
    write(ada, "Between us")
    wait_for_message(ada, "Between us")
    join(ada, "garden")
    write(ada, "To everybody here")
    wait_for_message(eve, "To everybody here")  # It was sent after the other.
    assert eve.get_by_text("Between us").count() == 0


def test_room_that_was_left_is_no_longer_heard(visit: Visit) -> None:
    ada, bob = visit("Ada", "tea"), visit("Bob", "tea")
    join(bob, "garden")
    bob.get_by_role("button", name="Leave tea").click()
    write(bob, "Here now")
    wait_for_message(bob, "Here now")  # So the server knows that he left.
    write(ada, "Are you there?")
    wait_for_message(ada, "Are you there?")
    join(ada, "garden")
    write(ada, "Ah, here")
    wait_for_message(bob, "Ah, here")
    assert bob.get_by_text("Are you there?").count() == 0


def test_names_and_messages_are_text_and_never_html(visit: Visit) -> None:
    name, attack = "<b>Eve</b>", "<img src=x onerror=\"document.title='owned'\">"
    eve, ada = visit(name, "tea"), visit("Ada", "tea")
    write(eve, attack)
    wait_for_message(ada, attack)
    assert ada.get_by_role("log").get_by_text(name, exact=True).is_visible()
    assert ada.locator("img, main b").count() == 0
    assert eve.get_by_text(f"You are {name}").is_visible()


def test_tenants_do_not_hear_each_other(visit: Visit) -> None:
    wile = visit("wile", "tea", password="demo", host="acme.localhost")
    hank = visit("hank", "tea", password="demo", host="globex.localhost")
    guest, stranger = visit("Road Runner", "tea", host="acme.localhost"), visit("Ada", "tea")
    write(wile, "The rocket skates are here")
    wait_for_message(guest, "The rocket skates are here")
    assert guest.get_by_role("log").get_by_text("wile", exact=True).is_visible()
    for page in (hank, stranger):
        write(page, "Only us?")
        wait_for_message(page, "Only us?")  # It was sent after the other.
        assert page.get_by_text("The rocket skates are here").count() == 0


def test_moderator_kicks_a_user_and_suspends_a_tenant(visit: Visit) -> None:
    admin = visit("admin", "tea", password="demo", host="localhost")
    wile = visit("wile", "tea", password="demo", host="acme.localhost")
    hank = visit("hank", "tea", password="demo", host="globex.localhost")
    moderate(admin, "Kick", "wile")
    wile.get_by_role("alert").get_by_text("the user was disconnected").wait_for()
    wile.get_by_role("link", name="Come back").click()
    wile.get_by_role("alert").get_by_text("you were kicked").wait_for()
    moderate(admin, "Resume", "wile")
    wile.get_by_role("link", name="Come back").click()
    wile.get_by_role("status").get_by_text("Connected", exact=True).wait_for()
    moderate(admin, "Suspend", "acme")
    wile.get_by_role("alert").get_by_text("the tenant is suspended").wait_for()
    wile.get_by_role("link", name="Come back").click()
    wile.get_by_text("This chat is suspended").wait_for()
    write(hank, "Still here")
    wait_for_message(hank, "Still here")
    moderate(admin, "Resume", "acme")
    wile.reload()
    wile.get_by_role("status").get_by_text("Connected", exact=True).wait_for()


def moderate(admin: Page, action: str, who: str) -> None:
    admin.get_by_label("Tenant, account or guest").fill(who)
    admin.get_by_role("button", name=action, exact=True).click()
    admin.get_by_role("log").get_by_text(f"{action.lower()} {who}: done").wait_for()


def test_moderator_finds_a_guest_by_the_mark_and_keeps_it_out(visit: Visit) -> None:
    admin = visit("admin", "tea", password="demo", host="localhost")
    eve, ada = visit("Eve", "tea", host="localhost"), visit("Ada", "tea", host="localhost")
    write(eve, "Buy my tea")
    mark = eve.locator("header .mark").inner_text()
    admin.get_by_role("log").get_by_role("button", name=mark).click()
    assert admin.get_by_label("Tenant, account or guest").input_value() == mark
    admin.get_by_role("button", name="Kick", exact=True).click()
    eve.get_by_role("alert").get_by_text("the user was disconnected").wait_for()
    eve.get_by_role("link", name="Come back").click()
    eve.get_by_role("alert").get_by_text("you were kicked").wait_for()
    eve.get_by_role("link", name="change").click()
    eve.get_by_label("Your name").fill("Not Eve")
    eve.get_by_role("button", name="Enter").click()
    eve.get_by_text("you were kicked").wait_for()
    write(ada, "Quiet again")
    wait_for_message(ada, "Quiet again")


# Who says what


def test_people_of_one_name_are_told_apart(visit: Visit) -> None:
    watcher = visit("Watcher", "tea", host="localhost")
    one, other = visit("Ada", "tea", host="localhost"), visit("Ada", "tea", host="localhost")
    wile = visit("wile", "tea", password="demo", host="localhost")
    like_wile = visit("w\u0456le", "tea", host="localhost")  # Its i is Cyrillic.
    people = (one, other, wile, like_wile)
    for number, page in enumerate(people):
        write(page, f"Hello {number}")
        wait_for_message(watcher, f"Hello {number}")
    marks = watcher.get_by_role("log").locator(".mark").all_inner_texts()
    assert marks == [page.locator("header .mark").inner_text() for page in people]
    assert marks[2] == "member"
    assert len(set(marks)) == 4


def test_messages_of_one_person_stand_under_one_name(visit: Visit) -> None:
    ada, bob = visit("Ada", "tea"), visit("Bob", "tea")
    for page, text in ((ada, "one"), (ada, "two"), (bob, "three"), (ada, "four")):
        write(page, text)
        wait_for_message(ada, text)
    names = ada.get_by_role("log").locator("strong:visible").all_inner_texts()
    assert names == ["Ada", "Bob", "Ada"]


def test_line_is_not_reversed_by_what_is_in_it(visit: Visit) -> None:
    eve, ada = visit("Eve", "tea"), visit("שלום", "tea")
    write(eve, "see \u202egpj.exe")
    wait_for_message(ada, "see gpj.exe")
    write(ada, "hi")
    name, mark = (ada.locator(f".message:last-child {part}") for part in ("strong", ".mark"))
    assert left_of(name) < left_of(mark)
    join(eve, "\u202enedrag", shown="nedrag")


def left_of(found: Locator) -> float:
    box = found.bounding_box()
    assert box is not None
    return box["x"]


# Rooms


PHONE = {"viewport": {"width": 360, "height": 640}, "has_touch": True, "is_mobile": True}


@pytest.mark.parametrize("screen", [{}, PHONE], ids=["desktop", "phone"])
def test_unread_messages_are_counted_where_they_can_be_seen(
    visit: Visit, screen: dict[str, Any]
) -> None:
    first = "a room with a name that does not fit into a tab"
    ada, bob = visit("Ada", first, **screen), visit("Bob", first)
    for room in ("garden", "kitchen", "cellar", "attic", "tea"):
        join(ada, room)
    for text in ("one", "two"):
        write(bob, text)
    unread = ada.get_by_role("button", name="2 unread")
    unread.wait_for()
    assert is_on_screen(unread)
    assert ada.title().startswith("(2) tea")
    unread.click()
    wait_for_message(ada, "two")
    unread.wait_for(state="hidden")
    join(ada, "tea")
    write(bob, "three")
    ada.locator(".rooms .unread", has_text="1").wait_for()
    ada.locator(".rooms ul").evaluate("list => { list.scrollLeft = 0; }")
    assert is_on_screen(ada.locator(".rooms .unread:visible"))


def is_on_screen(found: Locator) -> bool:
    """Return whether the point in the middle of an element shows it, and nothing else does."""
    return bool(
        found.evaluate(
            """found => {
                const { x, y, width, height } = found.getBoundingClientRect();
                return document.elementFromPoint(x + width / 2, y + height / 2) === found;
            }"""
        )
    )


def test_nothing_is_wider_than_a_phone(visit: Visit) -> None:
    ada = visit("Adelheid Wilhelmina Katharina", "tea", **PHONE)
    write(ada, "x" * 300)
    wait_for_message(ada, "x" * 300)
    assert ada.evaluate("document.documentElement.scrollWidth") <= 360


def test_rooms_are_remembered_and_so_is_the_one_in_front(visit: Visit) -> None:
    ada = visit("Ada", "tea")
    join(ada, "garden")
    ada.reload()
    ada.get_by_role("status").get_by_text("Connected", exact=True).wait_for()
    assert ada.locator(".rooms li bdi").all_inner_texts() == ["tea", "garden"]
    assert ada.get_by_role("textbox", name="Message to garden").is_visible()


def test_link_to_a_room_leads_there(visit: Visit, browser: Browser, server: Server) -> None:
    ada = visit("Ada", "tea")
    ada.goto(f"{server.url}/#garden%20shed")
    assert ada.get_by_role("textbox", name="Message to garden shed").is_visible()
    stranger = browser.new_page()
    stranger.goto(f"{server.url}/#garden%20shed")
    assert stranger.get_by_label("Room").input_value() == "garden shed"
    stranger.context.close()


def test_who_left_every_room_is_told_what_to_do(visit: Visit) -> None:
    ada = visit("Ada", "tea")
    ada.get_by_role("button", name="Leave tea").click()
    ada.get_by_text("You are in no room").wait_for()
    ada.get_by_role("textbox", name="Message").fill("To nobody")
    assert ada.get_by_role("button", name="Send").is_disabled()


# Writing and reading


def test_enter_sends_and_shift_enter_makes_a_line(visit: Visit) -> None:
    ada = visit("Ada", "tea")
    box = ada.get_by_role("textbox", name="Message to tea")
    box.press_sequentially("one")
    box.press("Shift+Enter")
    box.press_sequentially("two")
    box.press("Enter")
    ada.get_by_role("log").get_by_text("one\ntwo").wait_for()
    assert box.input_value() == ""


def test_who_reads_further_up_is_not_moved(visit: Visit) -> None:
    ada, bob = visit("Ada", "tea"), visit("Bob", "tea")
    write(bob, "\n".join(str(number) for number in range(100)))
    log = ada.get_by_role("log")
    log.get_by_text("99").wait_for()
    log.evaluate("page => { page.scrollTop = 0; }")
    write(bob, "the newest")
    ada.get_by_role("button", name="New messages").click()
    assert log.evaluate("page => page.scrollTop") > 0
    ada.get_by_role("button", name="New messages").wait_for(state="hidden")
    assert ada.get_by_text("the newest").is_visible()


def test_what_the_server_refuses_is_said(visit: Visit) -> None:
    ada = visit("Ada", "tea")
    in_module(ada, "connection", "module.gateway.emit('message.send', { room: 'tea', text: ' ' })")
    ada.get_by_role("alert").get_by_text("A message needs some text.").wait_for()
    write(ada, "Hello")
    wait_for_message(ada, "Hello")
    assert ada.locator("[role=alert]").inner_text() == ""


def test_page_keeps_the_newest_messages_only(visit: Visit) -> None:
    ada = visit("Ada", "tea")
    write_many = """
        for (let number = 0; number < 600; number++) {
            module.gateway.emit("message.send", { room: "tea", text: `no ${number}` });
        }
    """
    in_module(ada, "connection", write_many)
    wait_for_message(ada, "no 599")
    assert ada.get_by_role("log").locator("li").count() == 500


def test_admin_disconnects_somebody_from_a_phone(visit: Visit, server: Server) -> None:
    wile = visit("wile", "tea", password="demo")
    admin = visit("admin", "tea", password="demo", viewport={"width": 390, "height": 800})
    admin.goto(f"{server.url}/admin/login/?next=/admin/arcly_channels/connection/%3Fq=wile")
    admin.get_by_label("Username").fill("admin")
    admin.get_by_label("Password").fill("demo")
    admin.get_by_role("button", name="Log in").click()
    admin.get_by_role("button", name="Disconnect").wait_for()
    admin.wait_for_load_state()  # With its styles.
    assert admin.evaluate("document.documentElement.scrollWidth") <= 390
    admin.get_by_role("button", name="Disconnect").click()
    admin.get_by_text("was disconnected.").wait_for()
    wile.get_by_role("status").get_by_text("Connected", exact=True).wait_for(state="hidden")


def test_gateway_is_tried_on_its_page(visit: Visit, server: Server) -> None:
    ada, bob = visit("Ada", "tea"), visit("Bob", "garden")
    asked: list[str] = []
    ada.on("request", lambda request: asked.append(request.url))
    ada.goto(f"{server.url}/gateways/")
    console = ada.locator("details.try").first
    console.get_by_text("Try it").click()
    console.get_by_role("button", name="Connect").click()
    console.get_by_text("Connected", exact=True).wait_for()
    frames = console.get_by_role("log")
    for event, data in (
        ("gateway:join", '{"room": "garden"}'),
        ("message.send", '{"room": "garden", "text": "From the console"}'),
        ("message.send", "{"),
    ):
        console.get_by_label("Event").select_option(event)
        console.get_by_label("Data").fill(data)
        console.get_by_role("button", name="Request").click()
    frames.get_by_text('"event":"gateway:reply"').wait_for()
    frames.get_by_text("SyntaxError").wait_for()
    wait_for_message(bob, "From the console")
    console.get_by_role("button", name="Disconnect").click()
    frames.get_by_text("closed with 1000").wait_for()
    console.get_by_role("button", name="Request").click()
    frames.get_by_text("connect first").wait_for()
    assert {url.partition("/gateways/")[0] for url in asked if "/static/" not in url} == {
        server.url
    }
    assert all(url.startswith(server.url) for url in asked)
