// One picture of a graph: its shapes, zoom and pan, and the states of its nodes and edges.

import type { Drawing } from "./document";
import { text } from "./document";
import { button, h, s } from "./elements";
import type { Flow, State } from "./flow";
import { Layers } from "./layers";
import { backdrop } from "./shapes";
import { Viewport } from "./viewport";

export interface Shown {
  step: number;
  marked: Set<number>;
  parameter: string;
  /** The number of a colour of the scale, by node, or -1. */
  colour: (node: number) => number;
}

export interface Events {
  hover: (node: number, event: PointerEvent) => void;
  leave: () => void;
  press: (node: number) => void;
  parameter: (name: string) => void;
}

const TALLEST = 560;
const FLATTEST = 5;
const LARGEST = 1.3;

export class Picture {
  readonly element: HTMLElement;
  readonly viewport: Viewport;
  private readonly layers: Layers;
  private readonly view: HTMLElement;
  private now: Shown = { step: 0, marked: new Set(), parameter: "", colour: () => -1 };

  constructor(
    readonly drawing: Drawing,
    readonly index: number,
    private readonly flow: Flow,
    private readonly events: Events,
  ) {
    const [, , width, height] = drawing.box;
    this.layers = new Layers(drawing, () => this.paint());
    const [patches, words] = backdrop(drawing);
    const image = s(
      "svg",
      { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": drawing.title },
      patches,
      this.layers.group,
      words,
    );
    const stage = h("div", { class: "stage" }, image);
    stage.style.width = `${width}px`;
    stage.style.height = `${height}px`;
    this.view = h("div", { class: "view", tabindex: 0, "aria-label": `picture: ${drawing.title}` }, stage);
    const aspect = Math.min(FLATTEST, width / height);
    this.view.style.aspectRatio = String(aspect);
    this.view.style.maxHeight = `min(80vh, ${TALLEST}px)`;
    this.viewport = new Viewport(this.view, stage, [width, height], () => this.look());
    this.element = h("figure", { class: "picture" }, this.bar(), this.view);
    this.element.style.maxWidth = `${Math.round(Math.max(240, width * LARGEST))}px`;
    this.element.style.flex = `${aspect} 1 ${Math.round(Math.min(aspect * 330, 820))}px`;
    this.listen();
  }

  /** Show a step, marks and colours. */
  show(now: Shown): void {
    this.now = now;
    this.paint();
  }

  /** Bring a node into view. */
  reveal(node: number): void {
    const [x, y] = [this.drawing.x[node], this.drawing.y[node]];
    if (!this.viewport.sees(x, y) || this.layers.isFar) this.viewport.reveal(x, y);
  }

  private bar(): HTMLElement {
    const expand = button("⤢", "Fill the window", () => this.expand());
    return h(
      "figcaption",
      {},
      h("h3", {}, this.drawing.title),
      h(
        "span",
        { class: "tools" },
        button("−", "Zoom out", () => this.viewport.zoom(1 / 1.35)),
        button("+", "Zoom in", () => this.viewport.zoom(1.35)),
        button("⊡", "Show all", () => this.viewport.fit()),
        expand,
      ),
    );
  }

  private expand(): void {
    const on = this.element.classList.toggle("expanded");
    document.documentElement.classList.toggle("covered", on);
    this.view.focus({ preventScroll: true });
    requestAnimationFrame(() => this.viewport.fit());
  }

  private listen(): void {
    const node = (event: Event) => numberOf(event.target, "data-node");
    this.view.addEventListener("pointerover", (event) => {
      const found = node(event);
      if (found !== null && event.pointerType !== "touch") this.events.hover(found, event);
      else this.events.leave();
    });
    this.view.addEventListener("pointerleave", () => this.events.leave());
    this.view.addEventListener("click", (event) => {
      if (this.viewport.dragged) return;
      const found = node(event);
      const edge = numberOf(event.target, "data-edge");
      if (found !== null) this.events.press(found);
      else if (edge !== null) this.events.parameter(text(this.drawing.parameter, edge));
      else this.events.press(-1);
    });
    this.view.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && this.element.classList.contains("expanded")) this.expand();
    });
  }

  private look(): void {
    const { k, x, y } = this.viewport.transform;
    const [width, height] = [this.view.clientWidth / k, this.view.clientHeight / k];
    const [left, top] = [-x / k, -y / k];
    this.layers.look(left - 100, top - 100, left + width + 100, top + height + 100);
    if (this.layers.isFar) this.paint();
  }

  private paint(): void {
    if (!this.layers) return;
    const { step, marked, parameter, colour } = this.now;
    const { nodes, edges } = this.layers.near;
    for (const [node, element] of nodes) {
      const state = this.flow.node(this.index, node, step);
      const shade = colour(node);
      set(element, "state", state);
      set(element, "shade", shade < 0 ? "" : String(shade));
      set(element, "marked", marked.has(node) ? "yes" : "");
    }
    for (const [edge, element] of edges) {
      set(element, "state", this.flow.edge(this.index, edge, step));
      set(element, "marked", parameter && text(this.drawing.parameter, edge) === parameter ? "yes" : "");
    }
    if (!this.layers.small) this.layers.light(this.layers.isFar ? this.lights() : {});
  }

  private lights(): Record<string, number[]> {
    const found: Record<string, number[]> = {};
    const { step, marked } = this.now;
    if (step) {
      this.drawing.label.forEach((_, node) => {
        const state: State = this.flow.node(this.index, node, step);
        if (state === "lit" || state === "back") (found[`far-${state}`] ??= []).push(node);
      });
    }
    if (marked.size) found["far-marked"] = [...marked];
    return found;
  }
}

function set(element: SVGElement, name: string, value: string): void {
  if ((element.dataset[name] ?? "") === value) return;
  if (value) element.dataset[name] = value;
  else delete element.dataset[name];
}

function numberOf(target: EventTarget | null, attribute: string): number | null {
  const found = target instanceof Element ? target.closest(`[${attribute}]`) : null;
  return found ? Number(found.getAttribute(attribute)) : null;
}
