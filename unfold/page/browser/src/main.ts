// The page: title, table of contents, sections of blocks, and the switch of colours.

import { chart } from "./chart";
import { code } from "./code";
import type { Block, Page, Section } from "./document";
import { button, h } from "./elements";
import { graph } from "./graph";
import { heat } from "./heat";
import { table } from "./table";

function shown(block: Block): HTMLElement {
  switch (block.block) {
    case "Table":
      return table(block);
    case "Chart":
      return chart(block);
    case "Heat":
      return heat(block);
    case "Code":
      return code(block);
    case "Graph":
      return graph(block);
  }
}

function sectionOf(section: Section, id: string): HTMLElement {
  const paragraphs = section.text ? section.text.split(/\n\s*\n/).map((text) => h("p", {}, text)) : [];
  const inside = h("div", { class: "blocks" }, ...section.blocks.map(shown));
  const heading = h("h2", {}, section.title);
  if (!section.folded) return h("section", { id }, heading, ...paragraphs, inside);
  const details = h("details", {}, h("summary", {}, heading), ...paragraphs, inside);
  return h("section", { id }, details);
}

function header(page: Page): HTMLElement {
  const facts = Object.entries(page.facts).map(([name, fact]) =>
    h("div", {}, h("dt", {}, name), h("dd", {}, fact)),
  );
  return h(
    "header",
    {},
    h("h1", {}, page.title),
    page.about ? h("p", { class: "about" }, page.about) : null,
    facts.length ? h("dl", { class: "facts" }, ...facts) : null,
  );
}

function contents(page: Page): HTMLElement {
  const links = page.sections.map((section, i) => {
    const link = h("a", { href: `#s${i}` }, section.title);
    link.addEventListener("click", () => open(`s${i}`));
    return link;
  });
  return h("nav", { "aria-label": "Contents" }, h("div", { class: "links" }, ...links), theme());
}

function open(id: string): void {
  const details = document.getElementById(id)?.querySelector("details");
  if (details && details.parentElement?.id === id) details.open = true;
}

function theme(): HTMLElement {
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const made = button("◐", "Switch between light and dark", () => {
    const now = root.dataset.theme ?? (dark.matches ? "dark" : "light");
    root.dataset.theme = now === "dark" ? "light" : "dark";
  });
  made.classList.add("theme");
  return made;
}

function start(): void {
  const data = document.getElementById("document")?.textContent ?? "";
  const page = JSON.parse(data) as Page;
  const sections = page.sections.map((section, i) => sectionOf(section, `s${i}`));
  const place = document.getElementById("page");
  place?.append(header(page), contents(page), h("main", {}, ...sections));
  addEventListener("beforeprint", () => {
    for (const details of document.querySelectorAll<HTMLDetailsElement>("section > details")) {
      details.open = true;
    }
  });
}

start();
