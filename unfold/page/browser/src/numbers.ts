// The numbers of a chart: a table that opens below it, and a file for spreadsheets.

import type { Cell } from "./document";
import { download, h } from "./elements";
import { table } from "./table";

export interface Grid {
  heads: string[];
  rows: Cell[][];
}

const MOST_ROWS = 500;

/** Return a closed element; the table is made when it is opened. */
export function numbers(title: string, grid: () => Grid): HTMLElement {
  const inside = h("div", {});
  const details = h("details", { class: "numbers" }, h("summary", {}, "numbers"), inside);
  details.addEventListener("toggle", () => {
    if (details.open && !inside.firstChild) fill(inside, title, grid());
  });
  return details;
}

function fill(inside: HTMLElement, title: string, { heads, rows }: Grid): void {
  const save = h("button", { type: "button" }, "save as CSV");
  save.addEventListener("click", () => download(`${title}.csv`, csv(heads, rows), "text/csv"));
  const shown = rows.slice(0, MOST_ROWS);
  const left = rows.length - shown.length;
  inside.append(
    h("p", {}, save, left ? ` the first ${MOST_ROWS} of ${rows.length} rows` : ""),
    table({ block: "Table", heads, rows: shown, title: "", marked: [] }),
  );
}

/** Return rows as CSV; a word that a spreadsheet could take for a formula starts with a quote. */
export function csv(heads: string[], rows: Cell[][]): string {
  return [heads, ...rows].map((row) => row.map(field).join(",")).join("\r\n") + "\r\n";
}

function field(cell: Cell): string {
  if (cell === null) return "";
  if (typeof cell !== "string") return String(cell);
  const safe = /^[=+\-@\t\r]/.test(cell) && cell !== "-Infinity" ? `'${cell}` : cell;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
