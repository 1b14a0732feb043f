// What is known of a node: its equation, shape, the numbers of a run, and its gradient.

import type { Named } from "./document";
import { number, text } from "./document";
import { h, show } from "./elements";
import type { Links, Spot } from "./links";

/** Return the elements of a card. */
export function card(links: Links, spot: Spot, norms: [number, number]): HTMLElement[] {
  const drawing = links.drawing(spot);
  const [label, ...rest] = drawing.label[spot.node].split("\n");
  const found: HTMLElement[] = [
    h("h4", {}, h("i", { class: `dot kind-${text(drawing.kind, spot.node)}` }), label),
  ];
  if (rest.length) found.push(h("p", {}, rest.join(" ")));
  const members = drawing.members[spot.node];
  for (const member of members.slice(0, 6)) {
    if (members.length > 1) found.push(h("h5", {}, links.graph.names[member[0]]));
    found.push(...facts(links, member, norms));
  }
  if (members.length > 6) found.push(h("p", {}, `and ${members.length - 6} more equations`));
  return found;
}

function facts(links: Links, member: number[], norms: [number, number]): HTMLElement[] {
  const value = links.graph.values[member[0]];
  const rows: [string, string | HTMLElement][] = [];
  const found: HTMLElement[] = [];
  if (value.equation) found.push(h("code", {}, value.equation));
  if (value.shape) rows.push(["shape", value.shape]);
  if (value.parameters.length) rows.push(["parameters", value.parameters.join(", ")]);
  const numbers = links.numbers(member);
  if (numbers) {
    const [points, row] = numbers;
    const [least, mean, most] = [points.least, points.mean, points.most].map((c) => number(c[row]));
    const symbols = value.symbols;
    const first = points.first[row]?.map(number) ?? [];
    if (symbols.length && first.length === 1) rows.push(["first sequence", quoted(value, first[0])]);
    else if (least === most) rows.push(["value", show(least)]);
    else {
      rows.push(["values", `${show(least)} to ${show(most)}`]);
      rows.push(["mean", `${show(mean)} ± ${show(number(points.deviation[row]))}`]);
    }
    if (points.norm.length) {
      const norm = number(points.norm[row]);
      rows.push(["gradient norm", h("span", { class: "norm" }, show(norm), meter(norm, norms))]);
    }
    if (first.length > 1) rows.push(["first sequence", strip(first)]);
  }
  const list = rows.map(([name, fact]) => h("div", {}, h("dt", {}, name), h("dd", {}, fact)));
  if (list.length) found.push(h("dl", {}, ...list));
  return found;
}

function quoted(value: Named, index: number): string {
  const symbol = value.symbols[index];
  if (symbol === undefined) return show(index);
  const names: Record<string, string> = { "\n": "line break", " ": "blank", "\t": "tab" };
  return names[symbol] ?? `“${symbol}”`;
}

/** Return the place of a norm on the logarithmic scale of all norms. */
function meter(norm: number, [low, high]: [number, number]): HTMLElement {
  const share = norm > 0 && high > low ? (Math.log10(norm) - low) / (high - low) : 0;
  const bar = h("i", {});
  bar.style.width = `${Math.round(100 * Math.min(1, Math.max(0, share)))}%`;
  return h("span", { class: "meter", "aria-hidden": true }, bar);
}

/** Return features as cells whose colours tell signs and sizes. */
function strip(values: number[]): HTMLElement {
  const most = Math.max(...values.map(Math.abs).filter(Number.isFinite), 1e-12);
  const cells = values.map((value) => {
    const cell = h("i", { class: value < 0 ? "minus" : "plus", title: show(value) });
    cell.style.opacity = String(Math.min(1, Math.abs(value) / most) || 0.02);
    return cell;
  });
  return h("span", { class: "strip" }, ...cells);
}
