"use strict";
// Scales, ticks and frames of charts.
(() => {
  const { svg } = auscult;

  const linearTicks = (low, high, most, whole = false) => {
    const rough = (high - low) / Math.max(most, 1);
    const power = 10 ** Math.floor(Math.log10(rough));
    const nice = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough) ?? 10 * power;
    const step = whole ? Math.max(1, nice) : nice;
    const ticks = [];
    for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) ticks.push(i * step);
    return ticks;
  };
  const logTicks = (low, high, most) => {
    const decades = Math.log10(high / low);
    const factors = decades * 3 <= most ? [1, 2, 5] : decades <= most ? [1] : null;
    if (!factors) {
      const step = Math.ceil(decades / most);
      const first = Math.ceil(Math.log10(low));
      return Array.from({ length: most + 1 }, (_, i) => 10 ** (first + i * step)).filter((tick) => tick <= high * 1.001);
    }
    const ticks = [];
    for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++) {
      for (const factor of factors) {
        const tick = factor * 10 ** power;
        if (tick >= low * 0.999 && tick <= high * 1.001) ticks.push(tick);
      }
    }
    return ticks.length > 1 ? ticks : linearTicks(low, high, most);
  };

  // Numbers of things (channels, levels, steps) have nothing between them, and no marks there.
  auscult.whole = (values) => values.length > 0 && Array.prototype.every.call(values, Number.isInteger);

  // A scale maps a value to [0, 1] and back.
  auscult.scale = (axis, extent, { zero = false, pad = 0, whole = false } = {}) => {
    let [low, high] = extent;
    if (!Number.isFinite(low)) [low, high] = [0, 1];
    const log = axis.scale === "log" && low > 0;
    if (zero && !log) [low, high] = [Math.min(low, 0), Math.max(high, 0)];
    if (low === high) [low, high] = log ? [low / 2, high * 2] : [low - (Math.abs(low) || 1) / 2, high + (Math.abs(high) || 1) / 2];
    if (!log) {
      const room = pad * (high - low);
      if (!(zero && low === 0)) low -= room;
      if (!(zero && high === 0)) high += room;
    }
    const [a, b] = log ? [Math.log(low), Math.log(high)] : [low, high];
    return {
      low, high, log,
      share: (value) => ((log ? Math.log(value) : value) - a) / (b - a),
      value: (share) => (log ? Math.exp(a + share * (b - a)) : a + share * (b - a)),
      ticks: (most) => (log ? logTicks(low, high, most) : linearTicks(low, high, most, whole)),
    };
  };

  auscult.tick = (value, axis) => {
    const near = Math.abs(value) < 1e-12 ? 0 : Number(value.toPrecision(6));
    if (axis.unit === "Hz" && Math.abs(near) >= 1000) return `${auscult.number(near / 1000)}k`;
    return auscult.number(near);
  };

  // Names that do not fit side by side lean, so that none has to be left out.
  const LETTER = 6.2;
  const LONGEST = 26;
  const shortened = (words) => (words.length > LONGEST ? `…${words.slice(1 - LONGEST)}` : words);
  const slanted = (names, width) => names.some((words) => LETTER * words.length + 8 > width / names.length);

  // A frame: plot area, gridlines, ticks and labels with units. Returns places to draw in and pixel functions.
  auscult.frame = ({ width, height, x, y, xAxis, yAxis, compact = false, bare = false, label, xNames = null, yNames = null }) => {
    const most = Math.floor(width / 16);
    const cut = (words) => (words.length > most ? `${words.slice(0, most - 1)}…` : words);
    const yTicks = yNames ? yNames.map((words, i) => [i, cut(words)]) : y.ticks(compact ? 4 : 5).map((tick) => [tick, auscult.tick(tick, yAxis)]);
    const slant = xNames && !bare && slanted(xNames, width);
    const foot = slant ? Math.min(0.62 * LETTER * Math.max(...xNames.map((words) => Math.min(words.length, LONGEST))), 110) : 0;
    const left = bare ? 4 : Math.max(12 + 6.2 * Math.max(...yTicks.map(([, words]) => words.length), 1), slant ? 0.8 * LETTER * Math.min(xNames[0].length, LONGEST) : 0);
    const box = { left, top: bare ? 4 : 22, right: width - (bare ? 4 : xNames && !slant ? Math.max(12, 3.2 * xNames[xNames.length - 1].length) : 12), bottom: height - (bare ? 4 : compact ? 32 : 40) };
    // Names that lean need room below; the plot keeps its own.
    height += foot;
    const root = svg("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": label, class: "chart" });
    const px = (value) => box.left + x.share(value) * (box.right - box.left);
    const py = (value) => box.bottom - y.share(value) * (box.bottom - box.top);
    const grid = svg("g", { class: "axis" });
    const text = (attributes, words) => grid.append(svg("text", attributes, words));
    if (!bare) {
      let above = Infinity;
      for (const [tick, words] of yTicks) {
        grid.append(svg("line", { x1: box.left, x2: box.right, y1: py(tick), y2: py(tick), class: Math.abs(tick) < 1e-12 ? "zero" : "rule" }));
        if (yNames && above - py(tick) < 11) continue;
        above = py(tick);
        text({ x: box.left - 6, y: py(tick) + 3.6, "text-anchor": "end" }, words);
      }
      let after = -Infinity;
      for (const tick of xNames ? xNames.keys() : x.ticks(Math.max(2, Math.floor((box.right - box.left) / 62)))) {
        const words = xNames ? xNames[tick] : auscult.tick(tick, xAxis);
        const at = px(tick);
        grid.append(svg("line", { x1: at, x2: at, y1: box.bottom, y2: box.bottom + 4, class: "mark" }));
        const reach = slant ? 5 : 3.4 * words.length;
        if (at - reach < after) continue;
        after = at + reach + (slant ? 0 : 6);
        if (slant) text({ transform: `translate(${at + 3} ${box.bottom + 13}) rotate(-38)`, "text-anchor": "end" }, shortened(words));
        else text({ x: at, y: box.bottom + 16, "text-anchor": "middle" }, words);
      }
      grid.append(svg("line", { x1: box.left, x2: box.right, y1: box.bottom, y2: box.bottom, class: "base" }));
      text({ x: 0, y: 11, class: "name" }, yAxis.label);
      text({ x: box.right, y: height - 3, "text-anchor": "end", class: "name" }, xAxis.label);
    }
    const plot = svg("g", { class: "plot" });
    root.append(grid, plot);
    return { root, plot, box, px, py, grid };
  };

  // What the pointer is over: a line of text that follows it, inside the figure.
  auscult.hover = (host, target, read) => {
    const tip = auscult.el("div", { class: "tip", hidden: true });
    host.classList.add("hoverable");
    host.append(tip);
    const hide = () => {
      tip.hidden = true;
      read(null);
    };
    target.addEventListener("pointermove", (event) => {
      const area = target.getBoundingClientRect();
      const scale = (target.viewBox?.baseVal.width || area.width) / area.width;
      const words = read([(event.clientX - area.left) * scale, (event.clientY - area.top) * scale]);
      tip.hidden = !words;
      if (!words) return;
      tip.replaceChildren(...words.map((line) => auscult.el("div", {}, line)));
      const around = host.getBoundingClientRect();
      const at = event.clientX - around.left;
      tip.style.left = `${Math.min(Math.max(at, tip.offsetWidth / 2), around.width - tip.offsetWidth / 2)}px`;
      tip.style.top = `${event.clientY - around.top - tip.offsetHeight - 14}px`;
    });
    target.addEventListener("pointerleave", hide);
  };
})();
