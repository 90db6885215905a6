// The rater's keyboard, what a screen reader hears after a vote, and a word when the server does not answer.
"use strict";

const QUIET_MILLISECONDS = 250; // a second press that was meant for the last item must not vote on the next one
let shownAt = performance.now();

function tell(text) {
  const live = document.getElementById("live");
  if (live && text) { live.textContent = ""; live.textContent = text; }
}

function trouble(text) {
  const place = document.getElementById("offline");
  if (!place) return;
  place.textContent = text;
  place.hidden = !text;
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  const inText = event.target instanceof HTMLTextAreaElement;
  if (event.key === "Escape" && inText) { event.target.blur(); return; }
  if (inText || event.isComposing) return;
  if (event.key === "n") {
    const note = document.querySelector("textarea[name=note]");
    if (note) { event.preventDefault(); note.focus(); }
    return;
  }
  if (!/^[1-4u]$/.test(event.key)) return;
  const button = document.querySelector(`button[data-key="${event.key}"]`);
  if (!button || button.disabled || performance.now() - shownAt < QUIET_MILLISECONDS) return;
  event.preventDefault();
  button.click();
});

document.addEventListener("htmx:after:settle", () => {
  shownAt = performance.now();
  trouble("");
  const ballot = document.getElementById("ballot");
  if (!ballot) return;
  const wrong = ballot.querySelector(".trouble");
  tell([ballot.dataset.said, wrong ? wrong.textContent : "", ballot.querySelector("h1").textContent].join(" "));
  ballot.querySelector("h1").focus({ preventScroll: true });
  window.scrollTo(0, 0);
});

document.addEventListener("htmx:error", () => {
  if (document.getElementById("ballot")) {
    trouble("This page's server does not answer, so this vote may not be kept. All votes before it are. " +
      "Once it runs again, choose again: a vote that was kept is not counted twice.");
  }
});
