/** The page of the chat: put together, with handlers first and the connection last. */

import { gateway } from "./connection.js";
import { $ } from "./dom.js";
import { noteAll, start } from "./rooms.js";
import "./writing.js";

gateway.on("notice", ({ text }) => noteAll(text));

$(".rooms form").onsubmit = (event) => {
  event.preventDefault();
  const name = $("#join").value.trim();
  $("#join").value = "";
  if (name) location.hash = encodeURIComponent(name);
  $("#text").focus();
};

$(".moderate")?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const { target, submitter } = event;
  const body = new FormData(target);
  const response = await fetch(submitter.formAction, { method: "POST", body });
  $(".error").textContent = response.ok ? "" : `The server said ${response.status}.`;
});

start();
gateway.connect();
$("#text").focus();
