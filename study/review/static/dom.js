// Elements, and the line at the bottom that tells what happened. Text only ever enters as text.
export const byId = (id) => document.getElementById(id);

export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(properties)) {
    if (key in element) element[key] = value;
    else element.setAttribute(key, value);
  }
  element.append(...children);
  return element;
}

export function button(text, act, key = "", properties = {}) {
  const element = make("button", { type: "button", className: "button", ...properties }, make("span", {}, text));
  if (key) element.append(make("kbd", {}, key));
  element.addEventListener("click", act);
  return element;
}

export function swatch(colour) {
  const element = make("i", { className: "swatch" });
  element.style.background = colour;
  return element;
}

export const rgb = ([red, green, blue]) => `rgb(${red} ${green} ${blue})`;

export const range = (first, last) => (first === last ? `frame ${first}` : `frames ${first} to ${last}`);

// A time of the log as the reader's clock has it.
export const when = (time) => new Date(time).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });

export function tell(text, bad = false) {
  const line = byId("told");
  line.textContent = text;
  line.classList.toggle("bad", bad);
}

// Whether a key is meant for the page, and not for a field or a button.
export function forPage(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return false;
  const field = event.target.closest("input:not([type=range]):not([type=checkbox]):not([type=radio]), select, textarea");
  return !field && !(event.target.closest("button, a, summary") && [" ", "Enter"].includes(event.key));
}
