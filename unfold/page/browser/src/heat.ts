// Numbers over two axes as colours, drawn by Observable Plot.

import * as Plot from "@observablehq/plot";

import { redrawn } from "./chart";
import type { Heat } from "./document";
import { number } from "./document";
import { h, show } from "./elements";
import { numbers } from "./numbers";

export function heat(block: Heat): HTMLElement {
  const place = h("div", { class: "plot" });
  const cells = block.rows.flatMap((y, i) =>
    block.columns.map((x, j) => ({ x, y, value: number(block.values[i][j]) })),
  );
  const shown = cells.filter(({ value }) => Number.isFinite(value) && !(block.log && value <= 0));
  redrawn(place, (width) => {
    const every = Math.ceil(block.columns.length / Math.max(1, width / 60));
    return Plot.plot({
      width,
      height: Math.round(Math.max(160, Math.min(420, 22 * block.rows.length + 60))),
      marginLeft: 60,
      x: { label: block.x, domain: block.columns, ticks: block.columns.filter((_, i) => i % every === 0) },
      y: { label: block.y, domain: block.rows },
      color: { type: block.log ? "log" : "linear", scheme: "magma", reverse: true },
      marks: [
        Plot.cell(shown, { x: "x", y: "y", fill: "value", inset: block.columns.length > 60 ? 0 : 0.5 }),
        Plot.tip(
          shown,
          Plot.pointer({
            x: "x",
            y: "y",
            title: (d) => `${block.x} ${d.x}\n${block.y} ${d.y}\n${block.of}: ${show(d.value)}`,
            fill: "var(--raised)",
          }),
        ),
      ],
    });
  });
  const grid = () => ({
    heads: [block.y, block.x, block.of],
    rows: block.rows.flatMap((y, i) => block.columns.map((x, j) => [y, x, block.values[i][j]])),
  });
  const values = shown.map(({ value }) => value);
  const range = values.length ? `${block.of}: ${show(Math.min(...values))} to ${show(Math.max(...values))}` : "";
  return h(
    "figure",
    { class: "block chart" },
    h("figcaption", {}, h("h3", {}, block.title), h("p", { class: "note" }, range)),
    place,
    block.note ? h("p", { class: "note" }, block.note) : null,
    numbers(block.title, grid),
  );
}
