"use strict";
/* What the other scripts stand on: elements, words and numbers. Text from the gateway only ever
 * becomes text: nothing here parses HTML, and the page's policy forbids it. */

const SVG = "http://www.w3.org/2000/svg";

const byId = (id) => document.getElementById(id);

/* An element with attributes and children; a child may be text. */
function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children.filter((child) => child !== null && child !== ""));
  return element;
}

function draw(name, attributes = {}, text = "") {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text) element.textContent = text;
  return element;
}

/* One of the shapes at the top of index.html. */
function shape(name) {
  const svg = draw("svg", { "aria-hidden": "true" });
  svg.append(draw("use", { href: `#shape-${name}` }));
  return svg;
}

function reshape(svg, name) {
  const use = svg.firstElementChild, href = `#shape-${name}`;
  if (use.getAttribute("href") !== href) use.setAttribute("href", href);
}

/* Writes only what differs: screen readers and layout are left alone otherwise. */
function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function setState(element, state) {
  if (element.dataset.state !== state) element.dataset.state = state;
}

/* ---- words and numbers ---------------------------------------------------------------------- */

const count = (n) => Number(n || 0).toLocaleString("en");
const plural = (n, one, many = `${one}s`) => `${count(n)} ${n === 1 ? one : many}`;
const percent = (n) => (Number.isFinite(n) ? `${Number(n.toFixed(2))} %` : "–");
const clock = (ms) => new Date(ms).toTimeString().slice(0, 8);

/* "rate_limit_exceeded" is for programs, "rate limit exceeded" for people. */
const words = (code) => String(code ?? "").replace(/[_-]+/g, " ").trim();
const sentence = (text) => text && text[0].toUpperCase() + text.slice(1);

/* A time as the gateway writes it (ISO 8601, or milliseconds), as milliseconds; NaN when none. */
function when(value) {
  if (value === null || value === undefined || value === "") return NaN;
  return typeof value === "number" ? value : Date.parse(value);
}

/* "4 s", "2 min 05 s", "3 h 20 min", "2 d 4 h" */
function span(ms) {
  const s = Math.max(0, Math.ceil(ms / 1000));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${String(s % 60).padStart(2, "0")} s`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
}
