// What of a large picture has elements: what is in view, if that is little; else a few paths.
//
// far    one path for each style of lines and each kind of nodes, with all shapes of the picture
// long   edges that cross many cells of the grid: always paths, since they are always in view
// near   elements of the nodes and edges in view, in a grid of cells over the picture

import type { Drawing } from "./document";
import { text } from "./document";
import { s } from "./elements";
import { boxOf, curveOf, edgeOf, nodeOf, outlineOf } from "./shapes";

const SMALL = 1500;
const CELL = 400;
const LONG = 4;

export interface Near {
  nodes: Map<number, SVGGElement>;
  edges: Map<number, SVGGElement>;
}

export class Layers {
  readonly near: Near = { nodes: new Map(), edges: new Map() };
  readonly group = s("g", {});
  readonly small: boolean;
  private readonly far = s("g", { class: "far" });
  private readonly glow = s("g", { class: "far" });
  private readonly nearEdges = s("g", {});
  private readonly nearNodes = s("g", {});
  private readonly cells = new Map<string, Cell>();
  private distant = false;

  constructor(
    private readonly drawing: Drawing,
    private readonly made: (near: Near) => void,
  ) {
    this.small = drawing.label.length + drawing.source.length <= SMALL;
    this.group.append(this.far, this.nearEdges, this.nearNodes, this.glow);
    if (this.small) {
      drawing.source.forEach((_, edge) => this.addEdge(edge));
      drawing.label.forEach((_, node) => this.addNode(node));
      made(this.near);
    } else {
      this.divide();
    }
  }

  /** Whether only paths are shown. */
  get isFar(): boolean {
    return this.distant;
  }

  /** Show what is in a part of the picture. */
  look(left: number, top: number, right: number, bottom: number): void {
    if (this.small) return;
    const [nodes, edges] = this.within(left, top, right, bottom);
    this.distant = nodes.size + edges.size > SMALL;
    this.far.classList.toggle("near", !this.distant);
    keep(this.near.nodes, this.distant ? new Set() : nodes);
    keep(this.near.edges, this.distant ? new Set() : edges);
    if (this.distant) return;
    for (const edge of edges) if (!this.near.edges.has(edge)) this.addEdge(edge);
    for (const node of nodes) if (!this.near.nodes.has(node)) this.addNode(node);
    this.made(this.near);
  }

  /** Show some nodes on top of the paths, by state. */
  light(states: Record<string, number[]>): void {
    const paths = Object.entries(states).map(([state, nodes]) =>
      s("path", { class: `node ${state}`, d: nodes.map((n) => outlineOf(this.drawing, n)).join("") }),
    );
    this.glow.replaceChildren(...paths);
  }

  private addNode(node: number): void {
    const made = nodeOf(this.drawing, node);
    this.near.nodes.set(node, made);
    this.nearNodes.append(made);
  }

  private addEdge(edge: number): void {
    const made = edgeOf(this.drawing, edge);
    this.near.edges.set(edge, made);
    this.nearEdges.append(made);
  }

  private within(left: number, top: number, right: number, bottom: number): [Set<number>, Set<number>] {
    const [nodes, edges] = [new Set<number>(), new Set<number>()];
    const [c, d] = [Math.floor(right / CELL), Math.floor(bottom / CELL)];
    for (let column = Math.floor(left / CELL); column <= c; column++) {
      for (let row = Math.floor(top / CELL); row <= d; row++) {
        const cell = this.cells.get(`${column},${row}`);
        for (const node of cell?.nodes ?? []) nodes.add(node);
        for (const edge of cell?.edges ?? []) edges.add(edge);
        if (nodes.size + edges.size > SMALL) return [nodes, edges];
      }
    }
    return [nodes, edges];
  }

  private divide(): void {
    const { drawing } = this;
    const lines = new Map<string, string[]>();
    const kinds = new Map<string, string[]>();
    drawing.source.forEach((_, edge) => {
      const box = boxOf(drawing, edge);
      const long = (box[2] - box[0]) / CELL > LONG || (box[3] - box[1]) / CELL > LONG;
      const key = `edge edge-${text(drawing.edge_kind, edge)} line-${drawing.style[edge]}${long ? " long" : ""}`;
      add(lines, key, curveOf(drawing, edge));
      if (!long) this.enter(box, (cell) => cell.edges.push(edge));
    });
    drawing.label.forEach((_, node) => {
      const [x, y] = [drawing.x[node], drawing.y[node]];
      const [a, b] = [drawing.width[node] / 2, drawing.height[node] / 2];
      this.enter([x - a, y - b, x + a, y + b], (cell) => cell.nodes.push(node));
      if (text(drawing.shape, node) !== "words") {
        add(kinds, `node kind-${text(drawing.kind, node)} ${text(drawing.shape, node)}`, outlineOf(drawing, node));
      }
    });
    for (const [key, paths] of lines) {
      this.far.append(s("g", { class: key }, s("path", { class: "stroke", d: paths.join("") })));
    }
    for (const [key, paths] of kinds) {
      this.far.append(s("g", { class: key }, s("path", { class: "shape", d: paths.join("") })));
    }
  }

  private enter([left, top, right, bottom]: number[], put: (cell: Cell) => void): void {
    for (let column = Math.floor(left / CELL); column <= Math.floor(right / CELL); column++) {
      for (let row = Math.floor(top / CELL); row <= Math.floor(bottom / CELL); row++) {
        const key = `${column},${row}`;
        let cell = this.cells.get(key);
        if (!cell) this.cells.set(key, (cell = { nodes: [], edges: [] }));
        put(cell);
      }
    }
  }
}

interface Cell {
  nodes: number[];
  edges: number[];
}

function add(map: Map<string, string[]>, key: string, path: string): void {
  const list = map.get(key);
  if (list) list.push(path);
  else map.set(key, [path]);
}

function keep(shown: Map<number, SVGGElement>, wanted: Set<number>): void {
  for (const [key, element] of shown) {
    if (!wanted.has(key)) {
      element.remove();
      shown.delete(key);
    }
  }
}
