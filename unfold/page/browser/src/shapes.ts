// The shapes of a drawing as SVG elements, and as paths that hold many shapes.

import type { Drawing } from "./document";
import { text } from "./document";
import { s } from "./elements";

const RADIUS = 6;
const ARROW = 3.1;

/** Return the element of a node: an outline and its words. */
export function nodeOf(drawing: Drawing, node: number): SVGGElement {
  const [x, y] = [drawing.x[node], drawing.y[node]];
  const [width, height, shape] = [drawing.width[node], drawing.height[node], text(drawing.shape, node)];
  const group = s("g", {
    class: `node kind-${text(drawing.kind, node)} ${shape}`,
    transform: `translate(${x} ${y})`,
    "data-node": node,
  });
  if (shape === "circle") {
    group.append(s("ellipse", { class: "shape", rx: width / 2, ry: height / 2 }));
  } else if (shape !== "words") {
    const rx = shape === "square" ? 0 : Math.min(RADIUS, height / 2);
    group.append(s("rect", { class: "shape", x: -width / 2, y: -height / 2, width, height, rx }));
  }
  const lines = drawing.label[node].split("\n");
  if (drawing.label[node]) {
    const size = lines.length > 1 ? 10.5 : 13;
    const words = s("text", { "font-size": size });
    lines.forEach((line, i) => {
      const dy = (i - (lines.length - 1) / 2) * size * 1.15 + size * 0.35;
      words.append(s("tspan", { x: 0, y: dy }, line));
    });
    group.append(words);
  }
  return group;
}

/** Return the element of an edge: a curve, the tip of its arrow, and the words beside it. */
export function edgeOf(drawing: Drawing, edge: number): SVGGElement {
  const group = s("g", {
    class: `edge edge-${text(drawing.edge_kind, edge)} line-${drawing.style[edge]}`,
    "data-edge": edge,
  });
  const curve = curveOf(drawing, edge);
  group.append(s("path", { class: "touch", d: curve }), s("path", { class: "stroke", d: curve }));
  group.append(s("path", { class: "head", d: headOf(drawing.curve[edge]) }));
  const [x, y] = drawing.label_at[edge];
  if (text(drawing.edge_label, edge)) {
    group.append(s("text", { x, y: y + 3.6, "font-size": 10.5 }, text(drawing.edge_label, edge)));
  }
  return group;
}

/** Return the path of the curve of an edge, without its arrow. */
export function curveOf(drawing: Drawing, edge: number): string {
  const [x, y, ...points] = drawing.curve[edge];
  const absolute = points.slice(0, -2).map((place, i) => tenth(place + (i % 2 ? y : x)));
  return `M${x} ${y}C${absolute.join(" ")}`;
}

function tenth(place: number): number {
  return Math.round(place * 10) / 10;
}

function headOf([x, y, ...points]: number[]): string {
  const [bx, by, tx, ty] = points.slice(-4).map((place, i) => place + (i % 2 ? y : x));
  const length = Math.hypot(tx - bx, ty - by) || 1;
  const [nx, ny] = [(-(ty - by) / length) * ARROW, ((tx - bx) / length) * ARROW];
  return `M${tx} ${ty}L${bx + nx} ${by + ny}L${bx - nx} ${by - ny}Z`;
}

/** Return the path of the outline of a node. */
export function outlineOf(drawing: Drawing, node: number): string {
  const [x, y] = [drawing.x[node], drawing.y[node]];
  const [a, b] = [drawing.width[node] / 2, drawing.height[node] / 2];
  if (text(drawing.shape, node) === "circle") {
    return `M${x - a} ${y}a${a} ${b} 0 1 0 ${2 * a} 0a${a} ${b} 0 1 0 ${-2 * a} 0Z`;
  }
  return `M${x - a} ${y - b}h${2 * a}v${2 * b}h${-2 * a}Z`;
}

/** Return left, top, right and bottom of all points of an edge. */
export function boxOf(drawing: Drawing, edge: number): [number, number, number, number] {
  const [x, y, ...points] = drawing.curve[edge];
  const box: [number, number, number, number] = [x, y, x, y];
  points.forEach((place, i) => {
    const [at, first] = i % 2 ? [place + y, 1] : [place + x, 0];
    box[first] = Math.min(box[first], at);
    box[first + 2] = Math.max(box[first + 2], at);
  });
  return box;
}

/** Return the bands behind the steps, and the lines of text that belong to no node. */
export function backdrop(drawing: Drawing): [SVGGElement, SVGGElement] {
  const patches = s("g", { class: "patches" });
  for (const [x, y, width, height] of drawing.patches) {
    patches.append(s("rect", { x, y, width, height, rx: 5 }));
  }
  const words = s("g", { class: "words" });
  for (const [line, x, y, size, ink, anchor] of drawing.words) {
    words.append(
      s("text", { class: ink, x, y: y + size * 0.35, "font-size": size, "text-anchor": anchor }, line),
    );
  }
  return [patches, words];
}
