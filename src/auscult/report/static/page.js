"use strict";
// Puts the blocks of a page in their places.
(() => {
  const { el } = auscult;
  const REDRAWN = new Set(["Curve", "SmallMultiples", "Histogram", "Scatter", "Heatmap", "Bars"]);
  const WIDE = new Set(["Lanes", "Animation", "Choices", "Graph", "Rulers", "Clip", "Table", "Finding", "SmallMultiples"]);

  const joined = (links) => links.flatMap((link, i) => (i ? [" · ", link] : [link]));
  const saved = (links) => {
    if (!links.length) return null;
    if (links.length <= 4) return el("p", { class: "links" }, "Save as ", joined(links));
    return el("details", { class: "links" }, el("summary", {}, `Save as annotations (${links.length} files)`), el("p", {}, joined(links)));
  };
  const wide = (block) => WIDE.has(block.type) || (block.type === "ClipGrid" && block.clips.length > 6);

  // One block: heading, drawing, note. It is drawn when it comes near the screen and again when its width changes.
  auscult.show = (block, host, { compact = false, owner = "", extents = null } = {}) => {
    const body = el("div", { class: "drawing" });
    const title = block.title ?? "";
    const heading = title ? el(compact ? "h4" : "h3", { dir: "auto" }, title) : null;
    const links = (block.exports ?? []).map((link) => el("a", { href: link.href, download: true }, link.label));
    const figure = el("figure", { class: `figure figure-${block.type.toLowerCase()}${wide(block) ? " wide" : ""}` },
      heading || !compact ? el("figcaption", { class: "head" }, heading, compact ? null : auscult.tools(block)) : null,
      body,
      block.note ? el("p", { class: "note", dir: "auto" }, block.note) : null,
      saved(links));
    host.append(figure);
    let width = 0;
    const draw = async () => {
      width = body.clientWidth;
      body.replaceChildren();
      body.classList.remove("hoverable");
      try {
        await auscult.draw[block.type](block, body, { compact, owner, extents });
      } catch (error) {
        body.replaceChildren(el("p", { class: "missing" }, `This block could not be drawn: ${error.message}`));
      }
    };
    auscult.whenSeen(figure, () => {
      draw();
      if (!REDRAWN.has(block.type)) return;
      new ResizeObserver(() => {
        if (body.clientWidth && Math.abs(body.clientWidth - width) > 2 && !matchMedia("print").matches) draw();
      }).observe(body);
    });
  };

  for (const section of document.querySelectorAll(".drawn")) {
    const script = section.querySelector('script[type="application/json"]');
    if (script) auscult.show(JSON.parse(script.textContent), section);
  }
  // On paper nothing can be clicked: what is folded in the blocks is printed open.
  let closed = [];
  addEventListener("beforeprint", () => {
    closed = [...document.querySelectorAll(".blocks details:not([open])")];
    closed.forEach((one) => (one.open = true));
  });
  addEventListener("afterprint", () => closed.forEach((one) => (one.open = false)));
  document.querySelectorAll("table.sortable").forEach((table) => {
    if (table.tHead && table.tBodies[0]?.rows.length > 1) auscult.sortable(table);
  });
  const here = document.querySelector(".top [aria-current]");
  if (here) {
    // Only as far as it takes to show the whole of it.
    const nav = here.closest("nav"), seen = nav.getBoundingClientRect(), own = here.getBoundingClientRect();
    if (own.right > seen.right) nav.scrollLeft += own.right - seen.right + 24;
  }
  // What lies further down is drawn when there is time, so that printing and searching find it.
  (window.requestIdleCallback ?? ((act) => setTimeout(act, 400)))(() => auscult.seeAll(), { timeout: 3000 });
  document.documentElement.classList.add("ready");
})();
