/** The consoles of the page about gateways: each connects by gateway.js, and shows what comes and goes. */

import { Gateway } from "./gateway.js";

const LONGEST_LOG = 200; // frames
const NO_CLOSE = 1006; // what browsers say of a socket that was refused, or lost
const OF_LIFE = /^\{"event":"gateway:p[io]ng"/; // which come again and again

for (const form of document.querySelectorAll("form.console")) wire(form);

function wire(form) {
  const log = form.querySelector("[role=log]");
  const status = form.querySelector("[role=status]");
  const connect = form.querySelector(".connect");
  const { event, data, token } = form.elements;
  let gateway;

  /** Show a line: what came (`<`), what left (`>`), or what went wrong (`!`). */
  function note(way, text) {
    const line = document.createElement("p");
    line.dataset.way = way;
    line.textContent = text;
    log.append(line);
    if (log.children.length > LONGEST_LOG) log.firstChild.remove();
    log.scrollTop = log.scrollHeight;
  }

  class Tapped extends WebSocket {
    constructor(...args) {
      super(...args);
      this.addEventListener("message", (came) => OF_LIFE.test(came.data) || note("<", came.data));
      this.addEventListener("close", ({ code, reason }) => {
        if (code === NO_CLOSE) note("!", "no connection (1006): is the address right, and what does the server log?");
        else note("!", `closed with ${code} ${reason}`);
      });
    }

    send(text) {
      if (!OF_LIFE.test(text)) note(">", text);
      super.send(text);
    }
  }

  function open() {
    const url = form.dataset.address.replace(/\{(\w+)\}/g, (_, name) =>
      encodeURIComponent(form.elements[name].value),
    );
    const options = { WebSocket: Tapped };
    if (token?.value) options.token = () => token.value;
    gateway = new Gateway(url, options);
    gateway.on("error", ({ code, message }) => note("!", `${code}: ${message}`));
    gateway.on("gateway:state", ({ state }) => {
      status.textContent = state === "open" ? "Connected" : `Not connected: ${state}`;
      connect.textContent = state === "closed" ? "Connect" : "Disconnect";
    });
    gateway.connect();
  }

  /** Hand the event to the gateway, in one of its two ways. */
  async function say(way) {
    if (!gateway || gateway.state === "closed") return note("!", "connect first");
    try {
      await gateway[way](event.value, data.value.trim() ? JSON.parse(data.value) : undefined);
    } catch (error) {
      note("!", `${error.code ?? error.name}: ${error.message}`);
    }
  }

  form.onsubmit = (submitted) => {
    submitted.preventDefault();
    if (connect.textContent === "Connect") open();
    else gateway.close();
  };
  form.querySelector(".request").onclick = () => say("request");
  form.querySelector(".emit").onclick = () => say("emit");
  form.querySelector(".clear").onclick = () => log.replaceChildren();
  event.onchange = () => {
    data.value = event.selectedOptions[0]?.dataset.sample ?? "";
  };
  event.onchange();
}
