// Linked pictures: a slider over steps, marks, colours by numbers, a search, and a card per node.

import { card } from "./card";
import type { Graph } from "./document";
import { number } from "./document";
import { addRules, button, h, show } from "./elements";
import { Flow } from "./flow";
import { Links } from "./links";
import type { Spot } from "./links";
import { Picture } from "./picture";

const SHADES = 16;
const LONGEST = 25_000;
const PER_STEP = 650;
const COLUMNS = { norm: "gradient norm", mean: "mean value", deviation: "deviation" } as const;
type Column = keyof typeof COLUMNS;

let graphs = 0;

export function graph(block: Graph): HTMLElement {
  return new GraphBlock(block).element;
}

class GraphBlock {
  readonly element: HTMLElement;
  private readonly links: Links;
  private readonly flow: Flow;
  private readonly pictures: Picture[];
  private readonly slider: HTMLInputElement;
  private readonly told = h("output", { class: "told", "aria-live": "off" });
  private readonly play: HTMLButtonElement;
  private readonly panel = h("aside", { class: "panel", "aria-label": "The marked node" });
  private readonly tip = h("div", { class: "tip", hidden: true });
  private readonly scale = h("span", { class: "scale" });
  private readonly norms: [number, number];
  private step = 0;
  private marked: Spot | null = null;
  private parameter = "";
  private column: Column | "" = "";
  private playing = 0;

  constructor(private readonly block: Graph) {
    const name = `graph-${graphs++}`;
    this.links = new Links(block);
    this.flow = new Flow(block, this.links);
    this.norms = decades(block);
    addRules(rules(block, name));
    this.pictures = block.pictures.map(
      (drawing, index) =>
        new Picture(drawing, index, this.flow, {
          hover: (node, event) => this.hover({ picture: index, node }, event),
          leave: () => (this.tip.hidden = true),
          press: (node) => this.press(node < 0 ? null : { picture: index, node }),
          parameter: (found) => this.choose(found),
        }),
    );
    const last = this.flow.total;
    this.slider = h("input", { type: "range", min: 0, max: last, value: 0, "aria-label": "step" });
    this.slider.addEventListener("input", () => {
      this.stop();
      this.go(Number(this.slider.value));
    });
    this.play = button("▶", "Play", () => (this.playing ? this.stop() : this.start()));
    this.play.classList.add("play");
    this.element = h(
      "div",
      { class: `block graph ${name}` },
      this.bar(),
      h("div", { class: "pictures" }, ...this.pictures.map((p) => p.element)),
      this.hint(),
      this.panel,
      this.tip,
    );
    this.element.addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.press(null);
    });
    this.show();
    this.tell();
  }

  private bar(): HTMLElement {
    const moves = this.flow.forward > 1;
    const colours = h("select", { "aria-label": "colour nodes by" }, h("option", { value: "" }, "kind"));
    for (const [column, title] of Object.entries(COLUMNS)) {
      const known = Object.values(this.block.points).some((p) => p[column as Column].length);
      if (known) colours.append(h("option", { value: column }, title));
    }
    colours.addEventListener("change", () => {
      this.column = colours.value as Column | "";
      this.show();
    });
    return h(
      "div",
      { class: "bar" },
      moves ? this.play : null,
      moves ? h("span", { class: "steps" }, this.slider, this.told) : null,
      colours.options.length > 1 ? h("label", {}, "colour ", colours) : null,
      this.scale,
      this.search(),
    );
  }

  private search(): HTMLElement {
    const list = h("ul", { class: "found", role: "listbox", hidden: true });
    const field = h("input", {
      type: "search",
      placeholder: "find a node",
      "aria-label": "find a node",
      autocomplete: "off",
      spellcheck: "false",
    });
    const choose = (spot: Spot) => {
      list.hidden = true;
      this.press(spot, true);
    };
    field.addEventListener("input", () => {
      const found = this.links.find(field.value, 12);
      list.replaceChildren(
        ...found.map((spot) => {
          const label = this.block.pictures[0].label[spot.node].split("\n")[0];
          const item = h("li", { role: "option", tabindex: -1 }, label);
          item.addEventListener("pointerdown", (event) => {
            event.preventDefault();
            choose(spot);
          });
          return item;
        }),
      );
      if (!found.length && field.value.trim()) list.append(h("li", { class: "none" }, "no such node"));
      list.hidden = !field.value.trim();
    });
    field.addEventListener("keydown", (event) => {
      const [first] = this.links.find(field.value, 1);
      if (event.key === "Enter" && first) choose(first);
      if (event.key === "Escape") list.hidden = true;
    });
    field.addEventListener("blur", () => (list.hidden = true));
    return h("span", { class: "search" }, field, list);
  }

  private go(step: number): void {
    this.step = Math.max(0, Math.min(this.flow.total, step));
    this.slider.value = String(this.step);
    this.show();
    this.tell();
  }

  private start(): void {
    const from = this.step >= this.flow.total ? 0 : this.step;
    const each = Math.min(PER_STEP, LONGEST / Math.max(1, this.flow.total));
    const began = performance.now();
    this.play.textContent = "⏸";
    this.play.title = "Pause";
    const frame = (now: number) => {
      const step = Math.min(this.flow.total, from + 1 + Math.floor((now - began) / each));
      if (step !== this.step) this.go(step);
      if (now - began > (this.flow.total - from) * each) this.stop();
      else this.playing = requestAnimationFrame(frame);
    };
    this.playing = requestAnimationFrame(frame);
  }

  private stop(): void {
    cancelAnimationFrame(this.playing);
    this.playing = 0;
    this.play.textContent = "▶";
    this.play.title = "Play";
  }

  private tell(): void {
    const { step, flow } = this;
    if (!step) {
      this.told.value = "▶ data flows forward, then gradients backward";
      return;
    }
    const back = step > flow.forward;
    const place = back ? `backward ${step - flow.forward} of ${flow.backward}` : `forward ${step} of ${flow.forward}`;
    const labels = flow.now(step).map((node) => this.block.pictures[0].label[node].split("\n")[0]);
    const names = labels.filter((label) => label !== "⋯");
    const shown = names.slice(0, 4).map((label) => (back ? `∂${label}` : label));
    this.told.value = `${place}: ${shown.join(", ")}${names.length > 4 ? ", …" : ""}`;
  }

  private hover(spot: Spot, event: PointerEvent): void {
    this.tip.replaceChildren(...card(this.links, spot, this.norms));
    this.tip.hidden = false;
    const { offsetWidth: width, offsetHeight: height } = this.tip;
    const x = Math.min(event.clientX + 16, innerWidth - width - 8);
    const y = event.clientY + 20 + height > innerHeight ? event.clientY - height - 16 : event.clientY + 20;
    this.tip.style.transform = `translate(${Math.max(8, x)}px, ${Math.max(8, y)}px)`;
  }

  private press(spot: Spot | null, reveal = false): void {
    const again = spot && this.marked?.picture === spot.picture && this.marked.node === spot.node;
    this.marked = again && !reveal ? null : spot;
    this.tip.hidden = true;
    if (!spot) this.parameter = "";
    this.show();
    if (this.marked && reveal) {
      for (const same of this.links.same(this.marked)) this.pictures[same.picture].reveal(same.node);
    }
  }

  private choose(parameter: string): void {
    this.parameter = parameter === this.parameter ? "" : parameter;
    this.show();
  }

  private show(): void {
    const same = this.marked ? this.links.same(this.marked) : [];
    const shade = this.shades();
    this.pictures.forEach((picture, index) => {
      picture.show({
        step: this.step,
        marked: new Set(same.filter((s) => s.picture === index).map((s) => s.node)),
        parameter: this.parameter,
        colour: (node) => shade(index, node),
      });
    });
    this.fillPanel();
  }

  private hint(): HTMLElement {
    const words = [
      "Click a node to mark it in every picture, and an edge to mark its parameter.",
      this.block.about ? `Numbers: ${this.block.about}.` : "",
    ];
    return h("p", { class: "note hint" }, words.join(" ").trim());
  }

  private fillPanel(): void {
    this.panel.hidden = this.marked === null;
    if (!this.marked) return;
    const close = button("×", "Unmark", () => this.press(null));
    close.classList.add("close");
    this.panel.replaceChildren(close, ...card(this.links, this.marked, this.norms));
  }

  /** Return the colour of a node: by the chosen numbers, or by its gradient once that has arrived. */
  private shades(): (picture: number, node: number) => number {
    const backward = this.step > this.flow.forward;
    const column = this.column || (backward ? "norm" : "");
    const [low, high] = column ? this.range(column) : [0, 0];
    this.scale.replaceChildren();
    if (!column || !(high > low)) return () => -1;
    const log = column === "norm";
    const ends = log ? [show(10 ** low), show(10 ** high)] : [show(low, 3), show(high, 3)];
    this.scale.append(ends[0], h("i", {}), ends[1], ` ${this.column ? "" : COLUMNS[column]}`);
    return (picture, node) => {
      const state = this.flow.node(picture, node, this.step);
      if (!this.column && state !== "back" && state !== "backdone") return -1;
      let best = -1;
      for (const member of this.block.pictures[picture].members[node]) {
        const found = this.links.numbers(member);
        if (!found || !found[0][column].length) continue;
        const value = number(found[0][column][found[1]]);
        const place = log ? Math.log10(value) : value;
        if (Number.isNaN(place)) continue;
        const share = Math.max(0, Math.min(1, (place - low) / (high - low)));
        best = Math.max(best, Math.min(SHADES - 1, Math.floor(share * SHADES)));
      }
      return best;
    };
  }

  private range(column: Column): [number, number] {
    if (column === "norm") return this.norms;
    const all = Object.values(this.block.points).flatMap((p) => p[column].map(number)).filter(Number.isFinite);
    return [Math.min(...all), Math.max(...all)];
  }
}

/** Return the whole decades that all norms lie in. */
function decades(block: Graph): [number, number] {
  let [low, high] = [Infinity, -Infinity];
  for (const points of Object.values(block.points)) {
    for (const norm of points.norm.map(number)) {
      if (norm > 0 && Number.isFinite(norm)) {
        low = Math.min(low, Math.floor(Math.log10(norm)));
        high = Math.max(high, Math.ceil(Math.log10(norm)));
      }
    }
  }
  return low > high ? [0, 0] : [low, Math.max(high, low + 1)];
}

const INK = "#1a1a1a";
const PAPER = "#ffffff";

function mixed(colour: string, share: number, other: string): string {
  return `color-mix(in oklab, ${colour} ${share}%, ${other})`;
}

function lighter(colour: string): string {
  return mixed(colour, 62, "white");
}

/** Return a colour on light paper, and another one on dark paper. */
function both(colour: string, dark: string): string {
  if (colour === "none" || !CSS.supports("color", colour)) return "none";
  if (colour.toLowerCase() === INK) return "var(--ink)";
  if (colour.toLowerCase() === PAPER) return "var(--raised)";
  return `light-dark(${colour}, ${dark})`;
}

/** Return the rules of the colours of a graph, on light and on dark paper. */
function rules(block: Graph, name: string): string[] {
  const lines = block.lines.map(({ colour, dash, width }, i) => {
    const array = { solid: "none", dashed: "6 4", dotted: "1.5 3.5" }[dash] ?? "none";
    const stroke = both(colour, lighter(colour));
    return `.${name} .line-${i} { --line: ${stroke}; --dash: ${array}; --width: ${Number(width)}px; }`;
  });
  const kinds = Object.entries(block.fills).map(([kind, [fill, outline, width]]) => {
    const dark = CSS.supports("color", outline) ? mixed(outline, 42, "var(--raised)") : "none";
    const colours = `--fill: ${both(fill, dark)}; --outline: ${both(outline, lighter(outline))}`;
    return `.${name} .kind-${kind} { ${colours}; --border: ${Number(width)}px; }`;
  });
  const shades = Array.from({ length: SHADES }, (_, i) => {
    const place = (i / (SHADES - 1)) * (block.scale.length - 1);
    const at = Math.min(block.scale.length - 2, Math.floor(place));
    const share = Math.round(100 * (1 - (place - at)));
    const fill = mixed(block.scale[at], share, block.scale[at + 1]);
    const ink = i > SHADES * 0.55 ? PAPER : INK;
    return `.${name} [data-shade="${i}"] { --fill: ${fill}; --label: ${ink}; }`;
  });
  const stops = block.scale.join(", ");
  const bar = `.${name} .scale i { background: linear-gradient(to right, ${stops || "none, none"}); }`;
  return [...lines, ...kinds, ...(block.scale.length > 1 ? [...shades, bar] : [])];
}
