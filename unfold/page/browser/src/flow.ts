// What lights up at a step of the slider: data flows forward, then gradients flow backward.
//
// Step 0 shows everything as it is; steps 1 to `forward` are the forward ones, then come the backward
// ones. A node of another picture follows the nodes of the first one that it belongs to.

import type { Graph } from "./document";
import { text } from "./document";
import type { Links } from "./links";

/** Nothing; not reached yet; computed now; before; gradient now; gradient before. */
export type State = "" | "dim" | "lit" | "done" | "back" | "backdone";

interface Steps {
  forward: Set<number>;
  backward: Set<number>;
  first: number;
  firstBack: number;
}

export class Flow {
  readonly forward: number;
  readonly backward: number;
  private readonly steps: (Steps | null)[][];

  constructor(
    private readonly graph: Graph,
    links: Links,
  ) {
    this.forward = largest(graph.forward) + 1;
    this.backward = largest(graph.backward) + 1;
    this.steps = graph.pictures.map((drawing, picture) =>
      drawing.label.map((_, node) => {
        const lead =
          picture === 0
            ? [node]
            : drawing.members[node].length
              ? links.same({ picture, node }).filter((s) => s.picture === 0).map((s) => s.node)
              : [];
        return this.stepsOf(lead);
      }),
    );
    this.steps.forEach((_, picture) => picture && this.follow(picture));
  }

  /** Let nodes that have no steps, such as parts of an adjoint, light up with those they flow to. */
  private follow(picture: number): void {
    const drawing = this.graph.pictures[picture];
    const steps = this.steps[picture];
    for (let changed = true; changed; ) {
      changed = false;
      drawing.source.forEach((source, edge) => {
        const target = drawing.target[edge];
        if (source >= 0 && target >= 0 && !steps[source] && steps[target]) {
          steps[source] = steps[target];
          changed = true;
        }
      });
    }
  }

  get total(): number {
    return this.forward + this.backward;
  }

  private stepsOf(nodes: number[]): Steps | null {
    const forward = nodes.map((n) => this.graph.forward[n] ?? -1).filter((n) => n >= 0);
    if (!forward.length) return null;
    const backward = nodes.map((n) => this.graph.backward[n]).filter((n) => n >= 0);
    return {
      forward: new Set(forward),
      backward: new Set(backward),
      first: Math.min(...forward),
      firstBack: backward.length ? Math.min(...backward) : -1,
    };
  }

  node(picture: number, node: number, step: number): State {
    const steps = this.steps[picture][node];
    if (!step || !steps) return "";
    const adjoint = text(this.graph.pictures[picture].kind, node) === "adjoint";
    if (step <= this.forward) {
      const now = step - 1;
      if (adjoint) return "dim";
      return steps.forward.has(now) ? "lit" : steps.first < now ? "done" : "dim";
    }
    const now = step - this.forward - 1;
    if (steps.backward.has(now)) return "back";
    return steps.firstBack >= 0 && steps.firstBack < now ? "backdone" : "dim";
  }

  edge(picture: number, edge: number, step: number): State {
    const drawing = this.graph.pictures[picture];
    const [source, target] = [drawing.source[edge], drawing.target[edge]];
    if (!step || source < 0 || target < 0) return "";
    // A gradient flows against the edges of the forward pass, and along those of the backward pass.
    const adjoint = text(drawing.kind, source) === "adjoint" || text(drawing.kind, target) === "adjoint";
    const from = this.node(picture, adjoint || step <= this.forward ? source : target, step);
    const to = this.node(picture, adjoint || step <= this.forward ? target : source, step);
    if (from === "" && to === "") return "";
    if (to === "lit") return from === "dim" ? "dim" : "lit";
    if (to === "back") return from === "dim" ? "dim" : "back";
    if (to === "backdone" && (from === "backdone" || from === "back")) return "backdone";
    if (to === "dim" || from === "dim") return "dim";
    return "done";
  }

  /** Return the nodes of the first picture that light up at a step. */
  now(step: number): number[] {
    if (!step) return [];
    const back = step > this.forward;
    const column = back ? this.graph.backward : this.graph.forward;
    const wanted = back ? step - this.forward - 1 : step - 1;
    return column.flatMap((at, node) => (at === wanted ? [node] : []));
  }
}

function largest(column: number[]): number {
  return column.reduce((most, n) => Math.max(most, n), -1);
}
