// A table: words to the left, numbers to the right.

import type { Cell, Table } from "./document";
import { h, show } from "./elements";

const NUMBERS = new Set(["NaN", "Infinity", "-Infinity"]);

export function table(block: Table): HTMLElement {
  const marked = new Set(block.marked.map(([row, column]) => `${row},${column}`));
  const numeric = block.heads.map((_, column) => block.rows.some((row) => isNumber(row[column])));
  const heads = block.heads.map((head, i) =>
    h("th", { scope: "col", class: numeric[i] ? "number" : undefined }, head),
  );
  const rows = block.rows.map((row, i) =>
    h("tr", {}, ...row.map((cell, j) => cellOf(cell, j, numeric[j], marked.has(`${i},${j}`)))),
  );
  const grid = h("table", {}, h("thead", {}, h("tr", {}, ...heads)), h("tbody", {}, ...rows));
  const title = block.title ? h("h3", {}, block.title) : null;
  const scroll = h("div", { class: "scroll", tabindex: 0, role: "region" }, grid);
  scroll.setAttribute("aria-label", block.title || "table");
  return h("div", { class: "block" }, title, scroll);
}

function isNumber(cell: Cell): boolean {
  return typeof cell === "number" || (typeof cell === "string" && NUMBERS.has(cell));
}

function cellOf(cell: Cell, column: number, numeric: boolean, marked: boolean): HTMLElement {
  const classes = [numeric ? "number" : "", marked ? "marked" : ""].join(" ").trim();
  const tag = column === 0 && !numeric ? "th" : "td";
  const scope = tag === "th" ? "row" : undefined;
  return h(tag, { class: classes || undefined, scope }, words(cell));
}

/** Return a cell as text. */
export function words(cell: Cell): string {
  if (cell === null) return "–";
  if (typeof cell === "boolean") return cell ? "yes" : "no";
  return isNumber(cell) ? show(Number(cell)) : String(cell);
}
