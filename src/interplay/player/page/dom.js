// Small helpers for the document.

const SVG = new Set(["svg", "path", "line", "rect", "circle", "g", "polygon", "text", "pattern", "defs"]);

/** An element: h("button.big", {onclick, "aria-label": …}, child, …). Strings become text, never markup. */
function h(what, attributes = {}, ...children) {
  const [tag, ...classes] = what.split(".");
  const element = SVG.has(tag) ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const name of classes) element.classList.add(name);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "text") element.textContent = value;
    else if (name === "class") element.classList.add(...value.split(" "));
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Text with words between backticks as code. */
const withCode = (text) => text.split("`").map((part, i) => (i % 2 ? h("code", { text: part }) : part));

/** A name that no other widget on the page has: each one runs this file anew, so counting would not do. */
const newId = (word) => `ip-${word}-${Math.random().toString(36).slice(2, 12)}`;

/** Sets text only when it changed: cheap enough for each frame. */
function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Sets or takes away an attribute only when it changed. */
function mark(element, name, value) {
  if (value === null || value === false) { if (element.hasAttribute(name)) element.removeAttribute(name); }
  else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value);
}

const ICONS = {
  play: "M7 4.5v15l12-7.5z",
  pause: "M6 5h4v14H6zM14 5h4v14h-4z",
  next: "M6 5v14l9-7zM16 5h2.5v14H16z",
  previous: "M18 5v14l-9-7zM5.500 5H8v14H5.500z",
  nextMoment: "M3 12h11M10 7l5 5-5 5M19 4v16",
  previousMoment: "M21 12H10M14 7l-5 5 5 5M5 4v16",
  copy: "M9 9h11v11H9zM5 15H4V4h11v1",
};

/** An icon of the page's own; the button around it carries the name. */
function icon(name) {
  const outline = ["nextMoment", "previousMoment", "copy"].includes(name);
  return h("svg.ip-icon", { viewBox: "0 0 24 24", "aria-hidden": "true", width: 18, height: 18 },
    h("path", { d: ICONS[name], fill: outline ? "none" : "currentColor", stroke: outline ? "currentColor" : "none", "stroke-width": 2.2 }));
}
