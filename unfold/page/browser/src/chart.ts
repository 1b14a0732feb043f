// Charts, drawn by Observable Plot anew whenever their width changes.

import * as Plot from "@observablehq/plot";

import type { Chart, Series } from "./document";
import { number } from "./document";
import { h, show } from "./elements";
import { numbers } from "./numbers";
import type { Grid } from "./numbers";

/** A point at its place, which is an exponent on a logarithmic axis, and its words. */
interface Point {
  x: number | string;
  y: number;
  low: number;
  high: number;
  title: string;
}

const COLOURS = 8;
const FAINT = 0.35;

export function chart(block: Chart): HTMLElement {
  const place = h("div", { class: "plot" });
  const series = block.series.map((one) => ({ one, points: pointsOf(one, block) }));
  redrawn(place, (width) => {
    const marks = series.flatMap(({ one, points }, i) => marksOf(one, points, colour(i)));
    const all = series.flatMap(({ points }) => points);
    const told = series.filter(({ one }) => !one.faint).flatMap(({ points }) => points);
    return Plot.plot({
      width,
      height: Math.round(Math.max(190, Math.min(300, width * 0.45))),
      marginLeft: 52,
      marginRight: 16,
      insetTop: 10,
      insetBottom: 8,
      x: { label: block.x, tickSpacing: 80, ...scale(block.log_x, all.map(({ x }) => x)) },
      y: { label: block.y, grid: true, tickSpacing: 45, ...scale(block.log_y, all.map(({ y }) => y)) },
      marks: [...levels(block), ...marks, tip(told)],
    });
  });
  const legend = h("ul", { class: "legend" });
  if (series.length > 1) {
    series.forEach(({ one }, i) => {
      const swatch = h("i", { class: one.mark === "dots" ? "dot" : "stroke" });
      swatch.style.setProperty("--colour", colour(i));
      if (one.faint) swatch.style.opacity = String(FAINT);
      legend.append(h("li", {}, swatch, one.name));
    });
  }
  return h(
    "figure",
    { class: "block chart" },
    h("figcaption", {}, h("h3", {}, block.title), legend),
    place,
    block.note ? h("p", { class: "note" }, block.note) : null,
    numbers(block.title, () => grid(block)),
  );
}

/** Call a function with the width of an element, and put what it makes there, now and later. */
export function redrawn(
  place: HTMLElement,
  make: (width: number) => HTMLElement | SVGElement,
): void {
  let last = 0;
  new ResizeObserver(([entry]) => {
    const width = Math.round(entry.contentRect.width);
    if (width < 40 || width === last) return;
    last = width;
    const made = make(width);
    // The rules of this element stand in the style of the page, which the policy allows.
    for (const style of made.querySelectorAll("style")) style.remove();
    place.replaceChildren(made);
  }).observe(place);
}

function colour(index: number): string {
  return `var(--series-${index % COLOURS})`;
}

/** Return the points that can be drawn: a logarithmic axis has none at or below zero. */
function pointsOf(series: Series, block: Chart): Point[] {
  const along = (value: number, log: boolean) => (log ? Math.log10(value) : value);
  const found: Point[] = [];
  series.x.forEach((place, i) => {
    const word = typeof place === "string" && Number.isNaN(Number(place));
    const x = word ? String(place) : along(Number(place), block.log_x);
    const values = [series.y[i], series.low[i] ?? null, series.high[i] ?? null].map(number);
    const [y, low, high] = values.map((value) => along(value, block.log_y));
    if (!Number.isFinite(y) || (typeof x === "number" && !Number.isFinite(x))) return;
    const range = Number.isFinite(low) ? `\n${show(values[1])} to ${show(values[2])}` : "";
    const at = word ? String(place) : show(Number(place));
    const title = `${series.name}\n${block.x} ${at}: ${show(values[0])}${range}`;
    found.push({ x, y, low, high, title });
  });
  return found;
}

function marksOf(series: Series, points: Point[], stroke: string): Plot.Markish[] {
  const bounded = points.filter((p) => Number.isFinite(p.low) && Number.isFinite(p.high));
  const opacity = series.faint ? FAINT : 1;
  if (series.mark === "bars") {
    return [
      Plot.barY(points, { x: "x", y: "y", fill: stroke, fillOpacity: 0.8 * opacity, inset: 1 }),
      Plot.ruleX(bounded, { x: "x", y1: "low", y2: "high", stroke: "var(--ink)" }),
    ];
  }
  if (series.mark === "dots") {
    return [
      Plot.ruleX(bounded, { x: "x", y1: "low", y2: "high", stroke }),
      Plot.dot(points, { x: "x", y: "y", r: 3, fill: stroke, stroke: "var(--paper)" }),
    ];
  }
  const band = { x: "x", y1: "low", y2: "high", fill: stroke, fillOpacity: 0.15 };
  const line = { x: "x", y: "y", stroke, strokeWidth: series.faint ? 1 : 2 };
  return [
    Plot.areaY(bounded, band),
    Plot.lineY(points, { ...line, strokeOpacity: opacity, strokeLinejoin: "round" }),
    ...(points.length === 1 ? [Plot.dot(points, { x: "x", y: "y", r: 3, fill: stroke })] : []),
  ];
}

function levels(block: Chart): Plot.Markish[] {
  return block.levels.flatMap(([value, text]) => {
    const level = block.log_y ? Math.log10(number(value)) : number(value);
    const words = { y: () => level, text: (d: string) => d, fill: "var(--soft)" };
    return [
      Plot.ruleY([level], { stroke: "var(--soft)", strokeDasharray: "5 4" }),
      Plot.text([text], { ...words, frameAnchor: "right", dy: -7, textAnchor: "end" }),
    ];
  });
}

function tip(points: Point[]): Plot.Markish {
  const options = { x: "x", y: "y", title: "title", fill: "var(--raised)" };
  return Plot.tip(points, Plot.pointer(options));
}

interface Scale {
  type?: "linear";
  ticks?: number[];
  tickFormat?: (place: number) => string;
}

/** Return the options of an axis; a logarithmic one is a linear one of exponents. */
function scale(log: boolean, places: (number | string)[]): Scale {
  if (!log) return {};
  const numbers = places.filter((p) => typeof p === "number");
  const [low, high] = [Math.min(...numbers), Math.max(...numbers)];
  const factors = high - low > 1.2 ? [1] : high - low > 0.5 ? [1, 2, 5] : [1, 1.5, 2, 3, 4, 5, 7];
  const every = Math.max(1, Math.ceil((high - low) / 8));
  const ticks: number[] = [];
  for (let power = Math.floor(low); power <= Math.ceil(high); power++) {
    if (power % every === 0) ticks.push(...factors.map((f) => power + Math.log10(f)));
  }
  const inside = ticks.filter((t) => t >= low - 0.05 && t <= high + 0.05);
  return { type: "linear", ticks: inside, tickFormat: (t) => show(Number((10 ** t).toPrecision(6))) };
}

function grid(block: Chart): Grid {
  const heads = ["series", block.x, block.y];
  const bounded = block.series.some((one) => one.low.length);
  if (bounded) heads.push("low", "high");
  const rows = block.series.flatMap((one) =>
    one.x.map((x, i) => {
      const ends = bounded ? [one.low[i] ?? null, one.high[i] ?? null] : [];
      return [one.name, x, one.y[i], ...ends];
    }),
  );
  return { heads, rows };
}
