/** Who is writing: the others see it for a few seconds, and nobody sees it of himself. */

import { gateway } from "./connection.js";
import { $, element } from "./dom.js";

const EVERY = 2_000; // milliseconds between two words to the server that somebody types
const SHOWN = 5_000; // that somebody is shown after the last of them
const MOST = 2; // names that are shown; of more there is the number

const me = $(".chat").dataset.sub;
let told = { at: -EVERY, room: null };

/** Tell the others in a room that there is something in the box. It is of no use later on. */
export function tellTyping(room) {
  const now = performance.now();
  if (room === told.room && now - told.at < EVERY) return;
  told = { at: now, room };
  gateway.emit("message.typing", { room: room.name }, { volatile: true });
}

/** After a message what is typed next is news again. */
export function stopTyping() {
  told.room = null;
}

/** Return who types in a room. */
export function typists() {
  const people = new Map(); // By sub; with the timers that remove them.
  let isShown = false;

  const render = () => {
    if (isShown) $(".typing").replaceChildren(...sentence([...people.values()]));
  };
  const remove = ({ sub }) => {
    clearTimeout(people.get(sub)?.timer);
    if (people.delete(sub)) render();
  };
  return {
    add(from) {
      if (from.sub === me) return; // In another tab.
      clearTimeout(people.get(from.sub)?.timer);
      people.set(from.sub, { name: from.name, timer: setTimeout(() => remove(from), SHOWN) });
      render();
    },
    remove,
    show(isInFront) {
      isShown = isInFront;
      render();
    },
  };
}

function sentence(people) {
  if (!people.length) return [];
  if (people.length > MOST) return [`${people.length} people are typing…`];
  const names = people.map(({ name }) => element("bdi", { textContent: name }));
  return [names[0], ...(names[1] ? [" and ", names[1], " are"] : [" is"]), " typing…"];
}
