// Which nodes of the pictures of a graph show the same: those that share a member.

import type { Drawing, Graph, Points } from "./document";

export interface Spot {
  picture: number;
  node: number;
}

export class Links {
  private readonly exact = new Map<string, Spot[]>();
  private readonly whole = new Map<number, Spot[]>();
  private readonly rows = new Map<number, Map<string, number>>();

  constructor(readonly graph: Graph) {
    graph.pictures.forEach((drawing, picture) => {
      drawing.members.forEach((members, node) => {
        for (const member of members) {
          push(this.exact, member.join(), { picture, node });
          push(this.whole, member[0], { picture, node });
        }
      });
    });
    for (const [value, points] of Object.entries(graph.points)) {
      const rows = new Map(points.at.map((point, row) => [point.join(), row]));
      this.rows.set(Number(value), rows);
    }
  }

  drawing(spot: Spot): Drawing {
    return this.graph.pictures[spot.picture];
  }

  /** Return all nodes that share a member with one, itself included. */
  same(spot: Spot): Spot[] {
    const found = new Map<string, Spot>([[id(spot), spot]]);
    for (const member of this.drawing(spot).members[spot.node]) {
      const [value, ...point] = member;
      const others = point.length
        ? [...(this.exact.get(member.join()) ?? []), ...(this.exact.get(`${value}`) ?? [])]
        : (this.whole.get(value) ?? []);
      for (const other of others) found.set(id(other), other);
    }
    return [...found.values()];
  }

  /** Return the numbers of a run at a member, if there are any: columns, and a row in them. */
  numbers(member: number[]): [Points, number] | null {
    const [value, ...point] = member;
    const row = this.rows.get(value)?.get(point.join());
    return row === undefined ? null : [this.graph.points[value], row];
  }

  /** Return nodes of the first picture whose label or equation has a text in it, best first. */
  find(text: string, most: number): Spot[] {
    const wanted = text.trim().toLowerCase();
    if (!wanted) return [];
    const ranked: [number, number][] = [];
    const drawing = this.graph.pictures[0];
    drawing.label.forEach((label, node) => {
      if (!drawing.members[node].length) return;
      const name = label.toLowerCase();
      const value = this.graph.values[drawing.members[node][0][0]];
      const rank = name.startsWith(wanted) ? 0 : name.includes(wanted) ? 1 : 2;
      if (rank < 2 || value.equation.toLowerCase().includes(wanted)) ranked.push([rank, node]);
    });
    ranked.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
    return ranked.slice(0, most).map(([, node]) => ({ picture: 0, node }));
  }
}

export function id(spot: Spot): string {
  return `${spot.picture}:${spot.node}`;
}

function push<K, V>(map: Map<K, V[]>, key: K, value: V): void {
  const list = map.get(key);
  if (list) list.push(value);
  else map.set(key, [value]);
}
