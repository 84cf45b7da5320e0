/** The rooms: each has a page of messages and a tab; the address says which is in front. */

import { gateway } from "./connection.js";
import { $, element } from "./dom.js";
import { messageItem } from "./message.js";
import { typists } from "./typing.js";

const KEPT = 500; // messages on the page per room
const GROUPED = 5 * 60_000; // milliseconds in which one author's messages stay together
const WELCOME = "You are in the room. What is written from now on appears here.";
const AWAY = "You were away: what was written meanwhile is not here.";
const GAP = "The servers have lost sight of each other for a moment: messages may be missing here.";
const TURNING = /[\u202A-\u202E\u2066-\u2069]/g; // characters that turn the direction of a line
const place = document.title;

const rooms = new Map();
let current = null;

/** Return the room in front, if there is one. */
export const inFront = () => current;

export function join(name) {
  if (rooms.has(name)) return;
  const list = element("ol", {});
  const page = element("div", { className: "page", tabIndex: 0, hidden: true }, list);
  page.setAttribute("role", "log");
  page.setAttribute("aria-label", `Messages in ${name}`);
  const count = element("span", { className: "unread", hidden: true });
  const label = element("bdi", { textContent: name });
  const href = `#${encodeURIComponent(name)}`;
  const link = element("a", { href, title: name }, label, count);
  const close = element("button", { type: "button", textContent: "×", onclick: () => leave(name) });
  close.setAttribute("aria-label", `Leave ${name}`);
  const tab = element("li", {}, link, close);
  const room = { name, page, list, tab, link, count, unread: 0, last: null, typists: typists() };
  page.onscroll = () => {
    if (room === current && isAtEnd(page)) $(".down").hidden = true;
  };
  rooms.set(name, room);
  $(".rooms ul").append(tab);
  $(".down").before(page);
  listen(room);
  remember();
}

/** Be in a room of the server, and show what comes from there. */
function listen(room) {
  const theirs = gateway.join(room.name);
  theirs.on("joined", () => note(room, WELCOME), { once: true });
  theirs.on("refused", (error) => note(room, `You are not in this room: ${error.message}`));
  theirs.on("gap", (gap) => note(room, gap.since ? GAP : AWAY)); // The server's has times.
  theirs.on("message.receive", (message) => receive(room, message));
  theirs.on("message.typing", ({ from }) => room.typists.add(from));
}

function leave(name) {
  const room = rooms.get(name);
  gateway.leave(name);
  rooms.delete(name);
  room.tab.remove();
  room.page.remove();
  remember();
  showUnread();
  if (room === current) go([...rooms.keys()].at(-1));
  (current?.link ?? $("#join")).focus();
}

function go(name) {
  const address = name === undefined ? location.pathname : `#${encodeURIComponent(name)}`;
  history.replaceState(null, "", address);
  enter();
}

/** Bring the room of the address to the front. */
function enter() {
  const name = nameInAddress();
  if (name) join(name);
  current = rooms.get(name) ?? null;
  for (const room of rooms.values()) {
    const isCurrent = room === current;
    room.page.hidden = !isCurrent;
    room.typists.show(isCurrent);
    if (isCurrent) room.link.setAttribute("aria-current", "page");
    else room.link.removeAttribute("aria-current");
  }
  $(".none").hidden = current !== null;
  $(".down").hidden = true;
  if (current) {
    scrollDown();
    current.tab.scrollIntoView({ block: "nearest", inline: "nearest" });
    current.unread = 0;
  }
  showUnread();
  const label = current ? `Message to ${current.name}` : "Message";
  $("[for=text]").textContent = $("#text").placeholder = label;
  $("#text").dispatchEvent(new Event("input"));
}

function nameInAddress() {
  try {
    return decodeURIComponent(location.hash.slice(1)).replace(TURNING, "").trim();
  } catch {
    return ""; // That is no room.
  }
}

function remember() {
  sessionStorage.setItem("rooms", JSON.stringify([...rooms.keys()]));
}

/** Show a message that came. */
function receive(room, message) {
  const now = new Date();
  const { from } = message;
  const { last } = room;
  const isSame = last !== null && last.from.sub === from.sub && last.from.name === from.name;
  room.last = { from, at: now };
  room.typists.remove(from);
  add(room, messageItem(message, now, isSame && now - last.at < GROUPED));
  if (room === current) return;
  room.unread += 1;
  showUnread();
}

/** Say something in a room that nobody has written. */
export function note(room, text) {
  room.last = null;
  add(room, element("li", { className: "note", textContent: text }));
}

/** Say the same in all of them. */
export function noteAll(text) {
  for (const room of rooms.values()) note(room, text);
}

/** Put an item at the end, where it stays in sight of who reads there. */
export function add(room, item) {
  const { page, list } = room;
  const follows = isAtEnd(page);
  const isUnsent = item.classList.contains("unsent");
  list.insertBefore(item, isUnsent ? null : list.querySelector(".unsent"));
  while (list.children.length > KEPT) list.firstElementChild.remove();
  if (room !== current) return;
  if (follows) scrollDown();
  else $(".down").hidden = false;
}

/** Show what is unread at each tab, and, since a tab may be out of sight, all of it above. */
function showUnread() {
  const text = (number) => (number > 99 ? "99+" : number);
  let sum = 0;
  for (const { unread, count } of rooms.values()) {
    sum += unread;
    count.hidden = unread === 0;
    count.textContent = text(unread);
  }
  $(".elsewhere").hidden = sum === 0;
  $(".elsewhere").textContent = `${text(sum)} unread`;
  const here = current ? `${current.name} · ${place}` : place;
  document.title = sum ? `(${text(sum)}) ${here}` : here;
}

function isAtEnd(page) {
  return page.scrollHeight - page.scrollTop - page.clientHeight < 40;
}

export function scrollDown() {
  current.page.scrollTop = current.page.scrollHeight;
}

/** Show the rooms in which this tab was before, and the one in the address. */
export function start() {
  $(".elsewhere").onclick = () => go([...rooms.values()].find((room) => room.unread).name);
  $(".down").onclick = scrollDown;
  addEventListener("hashchange", enter);
  for (const name of JSON.parse(sessionStorage.getItem("rooms") ?? "[]")) join(name);
  enter();
  if (!current && rooms.size) go([...rooms.keys()].at(-1));
}
