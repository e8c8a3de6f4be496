"use strict";
// Blocks of words and numbers inside cards; on pages themselves the templates write them.
(() => {
  const { el, number } = auscult;
  const SIGNS = { holds: "✓", "explained by control": "◐", "does not hold": "✕", "cannot be tested here": "?" };
  const KINDS = { holds: "holds", "explained by control": "explained", "does not hold": "not" };

  auscult.draw.Text = (block, host) => {
    host.classList.add("text", `text-${block.tone}`);
    for (const part of block.text.split(/\n\n+/)) host.append(el("p", { dir: "auto" }, part.trim()));
  };

  auscult.draw.Missing = (block, host) => {
    host.classList.add("missing");
    host.append(el("p", { dir: "auto" }, block.reason));
  };

  auscult.draw.Finding = (block, host) => {
    const fact = (name, value) => el("div", {}, el("dt", {}, name), el("dd", { dir: "auto" }, value || "–"));
    host.classList.add("finding");
    host.append(
      el("p", { class: "finding-say", dir: "auto" }, block.sentence),
      el("dl", { class: "finding-facts" }, fact("Measured", block.value), fact("Control", block.control), fact("Published", block.published),
        el("div", {}, el("dt", {}, "Verdict"), el("dd", {}, el("span", { class: `chip chip-${KINDS[block.verdict] ?? "untested"}` }, el("b", { "aria-hidden": "true" }, SIGNS[block.verdict] ?? "?"), block.verdict)))),
      block.reason ? el("p", { class: "finding-why", dir: "auto" }, block.reason) : "");
  };

  const cell = (value) => {
    if (value === true || value === false) return el("td", {}, value ? "yes" : "no");
    if (typeof value === "number") return el("td", { class: "num", "data-value": value }, number(value));
    return el("td", {}, el("bdi", {}, value === null ? "–" : String(value)));
  };
  auscult.draw.Table = (block, host) => {
    const head = block.columns.map((name, i) => el("th", { scope: "col", class: typeof block.rows[0]?.[i] === "number" ? "num" : null }, el("bdi", {}, name), block.units[i] ? el("span", { class: "unit" }, ` ${block.units[i]}`) : ""));
    const table = el("table", { class: "sortable" }, el("thead", {}, el("tr", {}, head)), el("tbody", {}, block.rows.map((row) => el("tr", {}, row.map(cell)))));
    host.append(el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": block.title || "Table" }, table));
    auscult.sortable(table);
  };

  // A press on a heading sorts by it; numbers as numbers, what is missing last.
  auscult.sortable = (table) => {
    const heads = [...table.tHead.rows[0].cells];
    const key = (row, i) => {
      const one = row.cells[i];
      return one.dataset.value !== undefined ? Number(one.dataset.value) : one.textContent.trim();
    };
    const compare = (a, b) => (typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), "en", { numeric: true }));
    heads.forEach((head, i) => {
      const button = el("button", { type: "button", class: "sort" });
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") === "ascending";
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const body = table.tBodies[0];
        const rows = [...body.rows].map((row) => [key(row, i), row]);
        const missing = ([value]) => value === "–" || value === "" || Number.isNaN(value);
        rows.sort((a, b) => missing(a) - missing(b) || (down ? -1 : 1) * compare(a[0], b[0]));
        body.append(...rows.map(([, row]) => row));
      });
    });
  };
})();
