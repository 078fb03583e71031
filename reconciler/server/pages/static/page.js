// What the pages do better with a script; without it every form and link works by itself.
"use strict";

document.documentElement.classList.add("scripted");

// One line that is seen and read aloud. Text only, and without characters that hide or reorder it.
const say = (text) => {
  document.getElementById("status").textContent = text.replace(/[\p{Cc}\p{Cf}]/gu, "\ufffd").slice(0, 300);
};

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

// Live: the server names what happened, and whatever on this page shows it asks again, at most twice a second.
const feed = document.body.dataset.feed;
if (feed && window.EventSource) {
  const source = new EventSource(feed);
  const heard = new Set();
  const tell = () => {
    for (const name of heard) htmx.trigger(document.body, `live-${name}`);
    heard.clear();
  };
  for (const name of ["alert", "violation", "mode", "policy"]) {
    source.addEventListener(name, (event) => {
      if (!heard.size) setTimeout(tell, 500);
      heard.add(name);
      const what = JSON.parse(event.data);
      if (name === "alert" && what.status === "open") say(`New alert: ${what.policy_name}, ${what.severity}.`);
    });
  }
  window.addEventListener("pagehide", () => source.close());

  // A page that nobody touches must not keep its session awake for ever.
  const patience = 20 * 60 * 1000;
  let touched = Date.now();
  for (const name of ["pointerdown", "keydown", "scroll"]) {
    document.addEventListener(name, () => { touched = Date.now(); }, { passive: true });
  }
  const watch = setInterval(() => {
    if (Date.now() - touched < patience) return;
    clearInterval(watch);
    source.close();
    say("This page is no longer live: load it again.");
  }, 60 * 1000);
}
