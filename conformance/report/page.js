"use strict";
// The page can be read without this script. It adds the filter, the copy buttons and links into closed details.
const requirements = [...document.querySelectorAll("details.requirement")];
const filter = document.querySelector("form.filter");
const said = document.getElementById("said");

const textOf = new Map(requirements.map((each) => {
  const parts = each.querySelectorAll(":scope > summary, :scope > .reason");
  return [each, [...parts].map((part) => part.textContent).join(" ").toLowerCase()];
}));

function apply() {
  const data = new FormData(filter);
  const outcomes = data.getAll("outcome");
  const words = data.get("text").toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  for (const each of requirements) {
    const text = textOf.get(each);
    each.hidden = !(outcomes.includes(each.dataset.outcome) && words.every((word) => text.includes(word)));
    shown += each.hidden ? 0 : 1;
  }
  filter.elements.shown.value = shown === requirements.length ? "" : `${shown} of ${requirements.length} shown`;
}

function openAll(isOpen) {
  for (const each of requirements) {
    if (!each.hidden) each.open = isOpen;
  }
}

function openTarget() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!requirements.includes(target)) return;
  if (target.hidden) {
    filter.reset();
    apply();
  }
  target.open = true;
  target.scrollIntoView();
  target.querySelector("summary").focus({ preventScroll: true });
}

async function copy(button) {
  const code = button.closest("section").querySelector("code");
  try {
    await navigator.clipboard.writeText(code.textContent);
    said.textContent = "Copied";
    button.classList.add("copied");
    setTimeout(() => button.classList.remove("copied"), 1500);
  } catch {
    // The browser allows no access to the clipboard: select the text for the reader.
    getSelection().selectAllChildren(code);
    said.textContent = "Selected";
  }
}

filter.hidden = false;
filter.addEventListener("input", apply);
filter.addEventListener("submit", (event) => event.preventDefault());
filter.elements.open.addEventListener("click", () => openAll(true));
filter.elements.close.addEventListener("click", () => openAll(false));
for (const button of document.querySelectorAll("button.copy")) {
  button.hidden = false;
  button.addEventListener("click", () => copy(button));
}
addEventListener("hashchange", openTarget);
for (const link of document.querySelectorAll('a[href^="#C-"]')) {
  // A second click on the same link changes no address, and must still open what the reader has closed.
  link.addEventListener("click", () => setTimeout(openTarget));
}
openTarget();
