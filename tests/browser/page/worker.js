{% load static %}// A gateway of a worker, to which no import map applies.

import { Gateway } from "{% static "arcly_channels/gateway.js" %}";

const gateway = new Gateway("/ws/chat?name=worker");
const tea = gateway.join("tea");
tea.on("joined", () => tea.emit("say", { text: "from a worker" }));
tea.on("said", (text) => postMessage(text));
gateway.connect();
