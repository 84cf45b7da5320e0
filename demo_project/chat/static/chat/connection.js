/** The connection of the page: what there is to say about it, and a button that does not wait. */

import { Gateway } from "arcly-channels";

import { $, element } from "./dom.js";

export const gateway = new Gateway("/ws/chat/");

const banner = $(".banner");
const now = banner.querySelector("button");
let wasOpen = false;
let countdown;

gateway.on("gateway:state", (news) => {
  clearInterval(countdown);
  shown[news.state]?.(news);
});

const shown = {
  connecting() {
    say("wait", wasOpen ? "Reconnecting…" : "Connecting…");
    tell("Trying to connect…");
    now.disabled = true;
  },
  open() {
    wasOpen = true;
    say("open", "Connected");
    if (banner.contains(document.activeElement)) $("#text").focus();
    banner.hidden = true;
  },
  waiting({ delay = 0 }) {
    const at = Date.now() + delay;
    const why = navigator.onLine ? "Connection lost" : "You are offline";
    const count = () => {
      const seconds = Math.max(0, Math.ceil((at - Date.now()) / 1000));
      tell(`${why}. Next attempt in ${seconds} s.`);
    };
    say("wait", why);
    banner.hidden = now.disabled = false;
    count();
    countdown = setInterval(count, 1000);
  },
  closed({ code, reason }) {
    const back = element("a", { href: "", textContent: "Come back" });
    say("over", "Closed");
    banner.hidden = true;
    $(".error").replaceChildren(`The server closed the connection: ${reason || code}. `, back);
  },
};

gateway.on("gateway:welcome", ({ id }) => {
  $(".state").title = `Connection ${id}`; // What is before the dash is the server's.
});
gateway.on("error", (error) => {
  $(".error").textContent = wordsOf(error);
});
now.onclick = () => gateway.connect();

/** Return what went wrong, without the place of it in a frame, which nobody sees. */
export function wordsOf(error) {
  return error.details?.[0]?.message ?? error.message;
}

/** Say it where it is read out: once for each change, so without the countdown. */
function say(is, text) {
  const state = $(".state");
  state.dataset.is = is;
  if (state.textContent !== text) state.textContent = text;
}

function tell(text) {
  banner.querySelector("p").textContent = text;
}
