/** The box to write in, and what becomes of a message that the server did not get. */

import { gateway, wordsOf } from "./connection.js";
import { $, element } from "./dom.js";
import { add, inFront, scrollDown } from "./rooms.js";
import { stopTyping, tellTyping } from "./typing.js";

const UNDER_WAY = 500; // milliseconds that a message may take before it is shown as not sent

const WHY = {
  expired: "Not sent: the connection was away for too long.",
  queue_full: "Not sent: too many messages wait already.",
  disconnected: "Perhaps not sent: the connection was lost before the server answered.",
  timeout: "Perhaps not sent: the server does not answer.",
  closed: "Not sent: the connection is closed.",
};

const box = $("#text");
const form = $(".write");

/** Send a message; show it as long as the server has not said that it has it. */
async function send(room, text) {
  const item = unsentItem(text);
  const late = setTimeout(() => add(room, item), gateway.state === "open" ? UNDER_WAY : 0);
  try {
    await gateway.request("message.send", { room: room.name, text });
    item.remove(); // It has come back, as everybody's.
  } catch (error) {
    const again = { type: "button", textContent: "Send again" };
    again.onclick = () => {
      item.remove();
      send(room, text);
    };
    const drop = { type: "button", textContent: "Discard", onclick: () => item.remove() };
    item.classList.add("failed");
    item.lastChild.replaceChildren(WHY[error.code] ?? `Not sent: ${wordsOf(error)}`);
    item.append(element("p", {}, element("button", again), element("button", drop)));
    if (!item.isConnected) add(room, item);
  } finally {
    clearTimeout(late);
  }
}

function unsentItem(text) {
  const body = element("p", { className: "text", dir: "auto", textContent: text });
  const why = element("p", { className: "why", textContent: "Waits for the connection…" });
  return element("li", { className: "unsent" }, body, why);
}

function allow() {
  form.querySelector("button").disabled = !inFront() || !box.value.trim();
}

box.addEventListener("input", allow);
box.onbeforeinput = () => inFront() && tellTyping(inFront());
box.onkeydown = (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  form.requestSubmit();
};

form.onsubmit = (event) => {
  event.preventDefault();
  if (form.querySelector("button").disabled) return;
  $(".error").textContent = "";
  send(inFront(), box.value);
  stopTyping();
  scrollDown();
  box.value = "";
  box.focus();
  allow();
};
