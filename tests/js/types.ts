// What the types of gateway.js promise. It is checked, and never run.

import { Gateway, GatewayError, type Position, type Room } from "arcly-channels";

interface ChatEvents {
  "message.receive": { room: string; text: string };
  typing: { name: string };
}

interface ChatCalls {
  "message.send": (data: { room: string; text: string }) => { id: number };
  typing: (data: { room: string }) => null;
  hurry: (data?: unknown) => unknown;
}

const gateway = new Gateway<ChatEvents>("/ws/chat/", {
  token: async () => "a token",
  rooms: ["tea"],
});
const off: () => void = gateway.on("message.receive", ({ text }, { room }) => `${room}: ${text}`);
gateway.on("gateway:state", ({ state, delay = 0 }) => [state, delay / 1000]);
gateway.on("error", (error) => [error.code, error.retryAfter], { once: true });
gateway.on("typing", ({ name }) => name, { signal: new AbortController().signal });
const sent: boolean = gateway.emit("message.send", { text: "hello" }, { volatile: true });
const reply: Promise<{ id: number }> = gateway.request("message.send", null, { timeout: 1000 });
const room: Room<ChatEvents> = gateway.join("tea", { presence: "count" });
const position: Position | null = room.position;
room.on("gap", ({ since, until }) => [since, until]);
room.on("refused", (error) => error instanceof GatewayError);
room.on("message.receive", ({ text }) => text);
const release: () => void = gateway.hold();

// @ts-expect-error There is no such event.
gateway.on("message.recieve", () => {});
// @ts-expect-error Its data has no such field.
gateway.on("message.receive", ({ txt }) => txt);
// @ts-expect-error Only the gateway says what it is.
gateway.state = "open";
// @ts-expect-error There is no such option.
gateway.emit("typing", null, { volatil: true });

// With a second map, what is sent has types, too, and so have replies.
const typed = new Gateway<ChatEvents, ChatCalls>("/ws/chat/");
const { id }: { id: number } = await typed.request("message.send", { room: "tea", text: "hello" });
typed.emit("hurry");
typed.emit("hurry", null, { volatile: true });
const tea: Room<ChatEvents, ChatCalls> = typed.join("tea");
tea.emit("message.send", { text: "hello" });
tea.emit("typing");
// @ts-expect-error There is no such event.
typed.emit("hury");
// @ts-expect-error Its data has to be there.
typed.emit("message.send");
// @ts-expect-error Its data has another field.
typed.request("message.send", { room: "tea", txt: "hello" });
// @ts-expect-error The room is all that it adds.
tea.emit("message.send", {});
// @ts-expect-error The reply has no such field.
typed.request("message.send", { room: "tea", text: "hello" }).then(({ key }) => key);

// Without a map every event is known, and its data can be anything.
new Gateway("wss://example.com/ws/").on("whatever", (data) => data.anything);

export { id, off, sent, reply, position, release };
