"use strict";
// Scales below one another with one cursor: where each place of the first lands on the others, and what else lands there.
(() => {
  const { el, svg, array, number } = auscult;
  const [HEIGHT, EDGE] = [34, 8];

  const told = (value, unit) => (Number.isFinite(value) ? `${number(Number(value.toPrecision(4)))}${unit ? ` ${unit}` : ""}` : "nowhere");
  const nearest = (values, wanted) => {
    let best = 0;
    for (let i = 1; i < values.length; i++) if (Math.abs(values[i] - wanted) < Math.abs(values[best] - wanted)) best = i;
    return best;
  };
  // Stretches of the first scale that land within the width around a place of another.
  const alike = (landing, at, width) => {
    const found = [];
    for (let i = 0; i < landing.length; i++) {
      if (!(Math.abs(landing[i] - landing[at]) < width)) continue;
      const last = found.at(-1);
      if (last && last[1] === i - 1) last[1] = i;
      else found.push([i, i]);
    }
    return found;
  };

  const rowOf = (name, facts, high, axis) => {
    const ruler = svg("svg", { class: "ruler", height: HEIGHT, role: "img" });
    const value = el("output", { class: "ruler-value" });
    const row = el("li", { class: "ruler-row" },
      el("div", { class: "ruler-name" }, el("b", {}, el("bdi", {}, name)), facts ? el("span", {}, facts) : null), ruler, value);
    return { row, ruler, value, high, name, axis };
  };
  const drawScale = (one) => {
    const width = one.ruler.clientWidth || 320;
    const scale = auscult.scale({ scale: "linear" }, [0, one.high]);
    one.px = (value) => EDGE + (value / one.high) * (width - 2 * EDGE);
    one.ruler.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    one.ruler.replaceChildren(svg("line", { class: "base", x1: EDGE, x2: width - EDGE, y1: 16, y2: 16 }));
    for (const tick of scale.ticks(Math.max(2, Math.floor(width / 80)))) {
      one.ruler.append(svg("line", { class: "mark", x1: one.px(tick), x2: one.px(tick), y1: 12, y2: 20 }));
      const anchor = one.px(tick) < 20 ? "start" : one.px(tick) > width - 20 ? "end" : "middle";
      one.ruler.append(svg("text", { x: one.px(tick), y: 31, "text-anchor": anchor }, auscult.tick(tick, one.axis)));
    }
    one.moving = svg("g", {});
    one.ruler.append(one.moving);
  };

  auscult.draw.Rulers = (block, host) => {
    const x = array(block.x);
    const unit = block.x_axis.unit;
    const input = rowOf(block.x_axis.name, "", x[x.length - 1], block.x_axis);
    const rows = block.rulers.map((told) => Object.assign(rowOf(told.name, told.facts, told.high, block.x_axis), { landing: array(told.landing), width: told.width, seenX: array(told.seen_x), seenY: array(told.seen_y) }));
    const slider = el("input", { type: "range", min: 0, max: x.length - 1, step: 1, value: nearest(x, block.start), "aria-label": block.x_axis.label });
    const status = el("p", { class: "now", role: "status" });
    let chosen = rows.length - 1;

    const paint = () => {
      const at = Number(slider.value);
      slider.setAttribute("aria-valuetext", told(x[at], unit));
      input.value.textContent = told(x[at], unit);
      const same = alike(rows[chosen].landing, at, rows[chosen].width);
      input.moving.replaceChildren(
        ...same.map(([from, to]) => svg("rect", { class: "alike", x: input.px(x[from]) - 1, width: Math.max(input.px(x[to]) - input.px(x[from]), 0) + 2, y: 4, height: 12 })),
        svg("circle", { class: "here", cx: input.px(x[at]), cy: 16, r: 5.5 }));
      rows.forEach((one, i) => {
        const value = one.landing[at];
        one.value.textContent = told(value, unit);
        one.row.classList.toggle("chosen", i === chosen);
        const marks = [];
        if (Number.isFinite(value)) {
          const [low, high] = [Math.max(0, value - one.width / 2), Math.min(one.high, value + one.width / 2)];
          marks.push(svg("rect", { class: "bound", x: one.px(low), width: Math.max(1, one.px(high) - one.px(low)), y: 5, height: 11 }));
          const seen = one.seenX ? one.seenX.findIndex((place) => Math.abs(place - x[at]) < 1e-6) : -1;
          if (seen >= 0 && Number.isFinite(one.seenY[seen])) marks.push(svg("path", { class: "seen", d: `M${one.px(one.seenY[seen])} 15l-5 -9h10z` }));
          marks.push(svg("circle", { class: "here", cx: one.px(value), cy: 16, r: 5.5 }));
        }
        one.moving.replaceChildren(...marks);
      });
      const ends = rows[chosen];
      const share = same.reduce((sum, [from, to]) => sum + to - from + 1, 0) / x.length;
      status.textContent = `${told(x[at], unit)} lands on ${told(ends.landing[at], unit)} at ${ends.name}; there it looks like ${same.length} stretch${same.length === 1 ? "" : "es"} of the first scale, ${number(Number((100 * share).toPrecision(2)))} % of it.`;
    };
    const point = (one, event) => {
      const area = one.ruler.getBoundingClientRect();
      const share = (event.clientX - area.left - EDGE) / (area.width - 2 * EDGE);
      slider.value = nearest(x, Math.min(Math.max(share, 0), 1) * one.high);
      paint();
    };
    input.ruler.addEventListener("pointerdown", (event) => {
      input.ruler.setPointerCapture(event.pointerId);
      point(input, event);
    });
    input.ruler.addEventListener("pointermove", (event) => { if (event.buttons) point(input, event); });
    slider.addEventListener("input", paint);
    rows.forEach((one, i) => {
      const pick = el("button", { type: "button", class: "ruler-pick" }, ...one.row.firstChild.childNodes);
      pick.addEventListener("click", () => { chosen = i; paint(); });
      one.row.firstChild.append(pick);
    });
    input.row.firstChild.append(slider);
    const list = el("ol", { class: "rulers" }, input.row, rows.map((one) => one.row));
    host.append(list, status,
      el("p", { class: "note" }, "Move the slider (arrow keys) or point on the first scale. A dot is where the place lands, the bar around it what cannot be told from it; a triangle is a measurement. Choose a scale by its name: what looks alike there is lit on the first one."));
    const all = [input, ...rows];
    const redraw = () => {
      all.forEach(drawScale);
      paint();
    };
    redraw();
    new ResizeObserver(redraw).observe(list);
  };
})();
