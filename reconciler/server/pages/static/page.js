// What the pages do better with a script; without it every form and link works by itself.
"use strict";

document.documentElement.classList.add("scripted");
const say = (text) => { document.getElementById("status").textContent = text; };

// Copy as command.
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
  say("Copied.");
});

// A refusal is said where changes are said; the page stays as it was.
document.addEventListener("htmx:responseError", (event) => {
  const page = new DOMParser().parseFromString(event.detail.xhr.responseText, "text/html");
  say(page.querySelector("[data-sentence]")?.textContent ?? "That did not work. Nothing was changed.");
});
document.addEventListener("htmx:sendError", () => say("The server does not answer. Nothing is known to have changed."));

// Live: the server names what happened, and whatever on this page shows it asks again.
const feed = document.body.dataset.feed;
if (feed && window.EventSource) {
  const source = new EventSource(feed);
  for (const name of ["alert", "violation", "mode", "policy"]) {
    source.addEventListener(name, () => htmx.trigger(document.body, `live-${name}`));
  }
  window.addEventListener("pagehide", () => source.close());
}
