// Text in a fixed width, in pieces with roles.

import type { Code } from "./document";
import { h } from "./elements";

export function code(block: Code): HTMLElement {
  const pre = h("pre", { tabindex: 0, class: block.wrap ? "wrap" : undefined });
  block.lines.forEach((line, number) => {
    if (number) pre.append("\n");
    for (const [role, text] of line) {
      pre.append(role ? h("span", { class: `role-${role}`, "data-name": text }, text) : text);
    }
  });
  return h("div", { class: "block" }, block.title ? h("h3", {}, block.title) : null, pre);
}
