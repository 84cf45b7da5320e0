// A gateway as the address of the page describes it, and what came of it, for tests to look at.

import { Gateway } from "arcly-channels";
import { withEventStream } from "arcly-channels/event-stream";

const asked = new URLSearchParams(location.search);
const name = asked.get("name");
const lives = asked.get("lives")?.split(",");

async function token() {
  const life = lives.length > 1 ? lives.shift() : lives[0];
  return (await fetch(`/token?name=${name}&life=${life}`)).text();
}

const gateway = new Gateway(`/ws/${asked.get("gateway") ?? "chat"}?name=${name}`, {
  bare: asked.has("bare"),
  token: lives && token,
  WebSocket: asked.has("stream") ? withEventStream(`/events?name=${name}`) : undefined,
});
const heard = []; // what was said, in order
const delays = []; // until the next attempt, in milliseconds
const states = []; // the codes of losses stand behind them, as in "waiting 1006"
const errors = []; // the codes of errors
const gaps = []; // the rooms that may have missed something
const welcomes = [];
const joins = []; // the rooms, once for each time

gateway.on("gateway:state", ({ state, code, delay }) => {
  states.push(code ? `${state} ${code}` : state);
  if (delay !== undefined) delays.push(delay);
});
gateway.on("gateway:welcome", (welcome) => welcomes.push(welcome));
gateway.on("said", (text) => heard.push(text));
gateway.on("error", (error) => errors.push(error.code));
for (const room of asked.getAll("room")) {
  const entered = gateway.join(room);
  entered.on("joined", () => joins.push(room));
  entered.on("gap", () => gaps.push(room));
}
Object.assign(globalThis, { delays, gateway, heard, states, errors, gaps, joins, welcomes });
gateway.connect();
