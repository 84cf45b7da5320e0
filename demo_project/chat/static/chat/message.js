/** How a message looks, and who it is from. */

import { $, element } from "./dom.js";

/** Make the item of a message; one of `isMore` stands under the name above it. */
export function messageItem({ text, from }, now, isMore) {
  const time = element("time", { dateTime: now.toISOString(), title: now.toLocaleString() });
  time.textContent = now.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  const face = element("span", { className: "face", textContent: [...from.name][0].toUpperCase() });
  face.setAttribute("aria-hidden", "true");
  face.style.setProperty("--hue", hue(from.sub));
  const name = element("strong", {}, element("bdi", { textContent: from.name }));
  const by = element("p", { className: "by" }, name, mark(from), time);
  const body = element("p", { className: "text", dir: "auto", textContent: text });
  const className = isMore ? "message more" : "message";
  return element("li", { className }, face, element("div", {}, by, body));
}

/** What nobody can pick: a role for an account, a number for a guest. A moderator may click it. */
function mark({ sub, role }) {
  const form = $(".moderate");
  const textContent = role === "guest" ? sub : role;
  const made = element(form ? "button" : "span", { className: `mark ${role}`, textContent });
  if (form) {
    const onclick = () => {
      form.who.value = sub;
      form.who.focus();
    };
    Object.assign(made, { type: "button", title: `Moderate ${sub}`, onclick });
  }
  return made;
}

/** Give everybody a colour, the same on every page. */
function hue(who) {
  let hash = 5381;
  for (const char of who) hash = ((hash * 33) ^ char.codePointAt(0)) >>> 0;
  return hash % 360;
}
