"use strict";
/* Requests and failovers, minute by minute: bars upwards for requests (what failed on top, in its
 * own colour), bars downwards for failovers. Drawn in pixels, anew when the width changes. */

const CHART = { left: 44, right: 8, top: 8, below: 20, share: 0.7, gap: 8 };

/* Either shape of the history: one object a minute, or one array a field. */
function minutesOf(history) {
  const number = (v) => (Number.isFinite(v) ? v : 0);
  const list = Array.isArray(history.minutes) ? history.minutes
    : (history.time || []).map((time, i) => ({ time, requests: history.requests?.[i], failures: history.failures?.[i],
      failovers: history.failovers?.[i], rateLimited: history.rateLimited?.[i] }));
  return list.map((m) => ({ time: when(m.time), requests: number(m.requests), failures: number(m.failures),
    failovers: number(m.failovers), rateLimited: number(m.rateLimited) }));
}

/* The next number that is not below and has one digit that counts; even, so that its half is whole. */
function niceTop(most) {
  const power = 10 ** Math.floor(Math.log10(most));
  return [1, 2, 3, 4, 6, 8, 10].find((n) => n * power >= most) * power;
}

const hourMinute = (ms) => new Date(ms).toTimeString().slice(0, 5);

class Chart {
  constructor() {
    this.place = byId("chart");
    this.minutes = [];
    this.width = 0;
    new ResizeObserver(() => { if (this.place.clientWidth !== this.width) this.draw(); }).observe(this.place);
  }

  show(history) {
    this.minutes = minutesOf(history);
    byId("chart-absent").hidden = this.minutes.length > 0;
    setText(byId("chart-absent"), "No minute has been recorded yet.");
    this.place.hidden = byId("chart-details").hidden = !this.minutes.length;
    this.draw();
    this.list();
  }

  absent(why) {
    byId("chart-absent").hidden = false;
    setText(byId("chart-absent"), why);
    this.place.hidden = byId("chart-details").hidden = true;
  }

  sum(field) { return this.minutes.reduce((sum, m) => sum + m[field], 0); }

  draw() {
    if (!this.minutes.length) return;
    const width = (this.width = this.place.clientWidth), height = this.place.clientHeight;
    if (!width) return;
    const label = `${plural(this.sum("requests"), "request")}, ${count(this.sum("failures"))} failed, `
      + `${plural(this.sum("failovers"), "failover")} in the last ${plural(this.minutes.length, "minute")}`;
    const svg = draw("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label });
    const plot = this.layout(width, height);
    svg.append(...this.scales(plot), ...this.minutes.map((m, i) => this.bars(plot, m, i)), ...this.times(plot));
    this.place.replaceChildren(svg);
  }

  layout(width, height) {
    const { left, right, top, below, share, gap } = CHART, room = height - top - below - gap;
    const most = (field) => this.minutes.reduce((max, m) => Math.max(max, m[field]), 0);
    return { left, top, width: width - left - right, height, upper: room * share, lower: room * (1 - share),
      base: top + room * share, under: top + room * share + gap, step: (width - left - right) / this.minutes.length,
      requests: niceTop(Math.max(most("requests"), 2)), failovers: niceTop(Math.max(most("failovers"), 1)) };
  }

  scales(p) {
    const rule = (y, name) => draw("line", { x1: p.left, x2: p.left + p.width, y1: y, y2: y, class: name });
    const text = (y, words) => draw("text", { x: p.left - 8, y: y + 4, "text-anchor": "end" }, words);
    return [rule(p.top, "rule"), rule(p.top + p.upper / 2, "rule"), rule(p.base, "rule axis"), rule(p.under + p.lower, "rule"),
      text(p.top, short(p.requests)), text(p.top + p.upper / 2, short(p.requests / 2)), text(p.base, "0"),
      text(p.under + p.lower - 3, short(p.failovers))];
  }

  bars(p, m, i) {
    const x = p.left + i * p.step, w = Math.max(1, p.step * 0.7), failures = Math.min(m.failures, m.requests);
    const group = draw("g", { class: "minute" });
    group.append(draw("rect", { x, y: p.top, width: p.step, height: p.upper + p.lower + CHART.gap, class: "hit" }));
    const bar = (name, y, h) => {
      if (h > 0) group.append(draw("rect", { x: x + (p.step - w) / 2, y, width: w, height: Math.max(h, 1), class: name, rx: Math.min(2, w / 3) }));
    };
    const scale = p.upper / p.requests, served = (m.requests - failures) * scale;
    bar("served", p.base - served, served);
    bar("failed", p.base - served - failures * scale, failures * scale);
    bar("failover", p.under, (m.failovers * p.lower) / p.failovers);
    group.append(draw("title", {}, `${hourMinute(m.time)}: ${plural(m.requests, "request")}, ${count(m.failures)} failed, ${plural(m.failovers, "failover")}`));
    return group;
  }

  times(p) {
    const every = Math.ceil(this.minutes.length / Math.max(2, Math.floor(p.width / 110)) / 5) * 5;
    const texts = [];
    this.minutes.forEach((m, i) => {
      const at = Math.round(m.time / 60000);
      if (at % every || i * p.step > p.width - 36) return;
      texts.push(draw("text", { x: p.left + (i + 0.5) * p.step, y: p.height - 2, "text-anchor": i < 2 ? "start" : "middle" }, hourMinute(m.time)));
    });
    return texts;
  }

  list() {
    byId("chart-rows").replaceChildren(...[...this.minutes].reverse().map((m) => make("tr", {},
      make("th", { scope: "row" }, hourMinute(m.time)),
      ...["requests", "failures", "rateLimited", "failovers"].map((field) => make("td", {}, count(m[field]))))));
  }
}

function short(n) {
  if (n >= 1e6) return `${Number((n / 1e6).toFixed(1))}M`;
  return n >= 1e4 ? `${Number((n / 1e3).toFixed(1))}k` : String(Number(n.toFixed(1)));
}
