// The document of a page, as `unfold/page/document.py` writes it. A test compares the fields.

export type Num = number | "NaN" | "Infinity" | "-Infinity";
export type Cell = string | Num | boolean | null;
export type Place = Num | string;

export interface Table {
  block: "Table";
  heads: string[];
  rows: Cell[][];
  title: string;
  marked: [number, number][];
}

export interface Series {
  name: string;
  x: Place[];
  y: (Num | null)[];
  low: (Num | null)[];
  high: (Num | null)[];
  mark: "line" | "dots" | "bars";
  faint: boolean;
}

export interface Chart {
  block: "Chart";
  title: string;
  x: string;
  y: string;
  series: Series[];
  log_x: boolean;
  log_y: boolean;
  levels: [Num, string][];
  note: string;
}

export interface Heat {
  block: "Heat";
  title: string;
  x: string;
  y: string;
  columns: Place[];
  rows: Place[];
  values: (Num | null)[][];
  of: string;
  log: boolean;
  note: string;
}

export interface Code {
  block: "Code";
  lines: [string, string][][];
  title: string;
  wrap: boolean;
}

export interface Repeated {
  texts: string[];
  at: number[];
}

export interface Drawing {
  title: string;
  box: [number, number, number, number];
  label: string[];
  kind: Repeated;
  shape: Repeated;
  x: number[];
  y: number[];
  width: number[];
  height: number[];
  members: number[][][];
  source: number[];
  target: number[];
  edge_kind: Repeated;
  style: number[];
  parameter: Repeated;
  curve: number[][];
  edge_label: Repeated;
  label_at: number[][];
  words: [string, number, number, number, string, string][];
  patches: [number, number, number, number][];
}

export interface Named {
  equation: string;
  shape: string;
  kind: string;
  parameters: string[];
  symbols: string[];
}

export interface Points {
  at: number[][];
  least: (Num | null)[];
  mean: (Num | null)[];
  most: (Num | null)[];
  deviation: (Num | null)[];
  norm: (Num | null)[];
  first: Num[][];
}

export interface Line {
  colour: string;
  dash: string;
  width: number;
}

export interface Graph {
  block: "Graph";
  pictures: Drawing[];
  names: string[];
  values: Named[];
  points: Record<string, Points>;
  forward: number[];
  backward: number[];
  lines: Line[];
  fills: Record<string, [string, string, number]>;
  scale: string[];
  about: string;
}

export type Block = Table | Chart | Heat | Code | Graph;

export interface Section {
  title: string;
  text: string;
  blocks: Block[];
  folded: boolean;
}

export interface Page {
  title: string;
  about: string;
  facts: Record<string, string>;
  sections: Section[];
}

/** Return an entry of a column of texts. */
export function text(column: Repeated, entry: number): string {
  return column.texts[column.at[entry]];
}

/** Return a number; the words for numbers that JSON lacks become these numbers. */
export function number(value: Num | null | undefined): number {
  return value === null || value === undefined ? NaN : Number(value);
}
