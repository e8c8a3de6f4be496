"use strict";
// Lines, histograms, bars and points, drawn as SVG so that they follow the page's colours and print sharply.
(() => {
  const { el, svg, array, number } = auscult;
  const SHADES = 6;

  const describe = (block, series) =>
    `${block.title}. ${block.y_axis.label} against ${block.x_axis.label}. ` +
    series.map((one) => {
      const [low, high] = auscult.extent(one.y);
      return `${one.name || "values"}: ${number(low)} to ${number(high)}`;
    }).join("; ");

  const DASHES = 8;

  // A chart of nothing says so instead of showing an empty frame.
  const empty = (host, arrays) => {
    if (arrays.some((values) => values?.some?.(Number.isFinite))) return false;
    host.append(el("p", { class: "no-values" }, "No values: every one of them is missing."));
    return true;
  };

  auscult.legend = (series) =>
    series.length < 2 && !series.some((one) => one.control)
      ? null
      : el("ul", { class: "legend" }, series.map((one, i) =>
          el("li", { class: `series-${one.shade ?? i % SHADES}${one.control ? " control" : ""}` },
            one.shade === undefined ? el("i", { "aria-hidden": "true" }) : swatch(one), el("bdi", {}, one.name), one.control && !/control/i.test(one.name) ? el("small", {}, " control") : null)));

  const seriesOf = (block, x) => {
    let shade = 0;
    let controls = 0;
    return block.series.map((one) => ({
      name: one.name,
      control: one.control,
      ...(one.control ? styled(controls++, DASHES) : styled(shade++, SHADES)),
      x: one.x ? array(one.x) : x,
      y: array(one.y),
      low: array(one.low),
      high: array(one.high),
    }));
  };

  // Lines of one colour are told apart by their marks: circles first, then squares, triangles, diamonds.
  const styled = (place, n) => ({ shade: place % n, mark: Math.floor(place / n) % SHAPES.length });
  const swatch = ({ mark = 0 }) =>
    svg("svg", { class: "swatch", viewBox: "0 0 22 6", "aria-hidden": "true" },
      [svg("path", { class: "line", d: "M0 3H22" }), mark ? svg("g", { class: "mark-of" }, SHAPES[mark](11, 3, 2.4)) : null]);

  const path = (xs, ys, px, py, log) => {
    let line = "";
    let pen = "M";
    for (let i = 0; i < ys.length; i++) {
      if (!Number.isFinite(ys[i]) || (log && ys[i] <= 0)) { pen = "M"; continue; }
      line += `${pen}${px(xs[i]).toFixed(1)} ${py(ys[i]).toFixed(1)}`;
      pen = "L";
    }
    return line;
  };
  const band = (one, px, py) => {
    // A gap (a tap that said nothing) has no band; its NaN would end the path there.
    const known = [...one.x].map((value, i) => [value, i]).filter(([value, i]) => [value, one.low[i], one.high[i]].every(Number.isFinite));
    const there = known.map(([value, i]) => `${px(value).toFixed(1)} ${py(one.high[i]).toFixed(1)}`);
    const back = known.map(([value, i]) => `${px(value).toFixed(1)} ${py(one.low[i]).toFixed(1)}`).reverse();
    return `M${[...there, ...back].join("L")}Z`;
  };

  // Few points are measurements, not a course: each is marked, and one alone would be no line at all.
  const FEW = 12;
  const dots = (frame, one, kind, log) => {
    for (let i = 0; i < one.y.length; i++) {
      if (!Number.isFinite(one.x[i]) || !Number.isFinite(one.y[i]) || (log && one.y[i] <= 0)) continue;
      const mark = SHAPES[one.mark](Number(frame.px(one.x[i]).toFixed(1)), Number(frame.py(one.y[i]).toFixed(1)), 3);
      mark.setAttribute("class", `point ${kind}`);
      frame.plot.append(mark);
    }
  };

  const curveExtents = (all) => {
    const xs = [Infinity, -Infinity];
    const ys = [Infinity, -Infinity];
    for (const one of all) {
      auscult.extent(one.x, xs);
      for (const values of [one.y, one.low, one.high]) auscult.extent(values, ys);
    }
    return [xs, ys];
  };

  const positive = (axis, arrays) =>
    axis.scale === "log" ? auscult.extent(arrays.flatMap((values) => [...(values ?? [])]).filter((value) => value > 0)) : null;

  const drawCurve = (block, host, { compact, bare, extents, height } = {}) => {
    const series = seriesOf(block, array(block.x));
    if (empty(host, series.map((one) => one.y))) return;
    const width = host.clientWidth || 320;
    const [xs, ys] = extents ?? curveExtents(series);
    const xNames = block.x_names?.length ? block.x_names : null;
    const x = auscult.scale(block.x_axis, positive(block.x_axis, series.map((one) => one.x)) ?? xs, { whole: series.every((one) => auscult.whole(one.x)) });
    const y = auscult.scale(block.y_axis, positive(block.y_axis, series.map((one) => one.y)) ?? ys, { pad: 0.06 });
    const tall = height ?? (compact ? 150 : Math.min(340, Math.max(210, width * 0.4)));
    const frame = auscult.frame({ width, height: tall, x, y, xAxis: block.x_axis, yAxis: block.y_axis, compact, bare, label: describe(block, series), xNames });
    const across = x.log ? (one) => [...one.x].map((value) => (value > 0 ? value : NaN)) : (one) => one.x;
    for (const one of [...series].sort((a, b) => b.control - a.control)) {
      const kind = `series-${one.shade}${one.control ? " control" : ""}`;
      if (one.low && one.high) frame.plot.append(svg("path", { class: `band ${kind}`, d: band(one, frame.px, frame.py) }));
      const masked = x.log ? { ...one, x: across(one), y: [...one.y].map((value, i) => (one.x[i] > 0 ? value : NaN)) } : one;
      frame.plot.append(svg("path", { class: `line ${kind}`, d: path(masked.x, masked.y, frame.px, frame.py, y.log) }));
      if (!bare && masked.y.length <= FEW) dots(frame, masked, kind, y.log);
    }
    const legend = bare ? null : auscult.legend(series);
    if (legend) host.append(legend);
    host.append(frame.root);
    if (!bare) readCurve(host, frame, x, series, block);
  };

  const nearest = (values, wanted) => {
    let best = 0;
    for (let i = 1; i < values.length; i++) if (Math.abs(values[i] - wanted) < Math.abs(values[best] - wanted)) best = i;
    return best;
  };
  const readCurve = (host, frame, x, series, block) => {
    const rule = svg("line", { class: "pointer", y1: frame.box.top, y2: frame.box.bottom, hidden: true });
    frame.plot.append(rule);
    auscult.hover(host, frame.root, (at) => {
      rule.toggleAttribute("hidden", !at);
      if (!at) return null;
      const wanted = x.value((at[0] - frame.box.left) / (frame.box.right - frame.box.left));
      const i = nearest(series[0].x, Math.min(Math.max(wanted, x.low), x.high));
      const here = series[0].x[i];
      rule.setAttribute("x1", frame.px(here));
      rule.setAttribute("x2", frame.px(here));
      const lines = series.slice(0, 8).map((one) => `${one.name ? `${one.name}: ` : ""}${number(Number(one.y[nearest(one.x, here)].toPrecision(5)))}`);
      const where = block.x_names?.[here] ?? number(Number(here.toPrecision(5)));
      return [`${block.x_axis.name} ${where} ${block.x_axis.unit}`.trim(), ...lines];
    });
  };
  auscult.draw.Curve = drawCurve;

  // Up to so many stand beside one another as charts of their own, on one scale where they have one unit; more are
  // small pictures.
  const LARGE = 4;
  const beside = (block, host, extents) => {
    const row = el("div", { class: "beside", tabindex: "0", role: "region", "aria-label": block.title });
    host.append(row);
    const alike = new Set(block.curves.map((curve) => `${curve.x_axis.unit}/${curve.y_axis.unit}`)).size === 1;
    for (const curve of block.curves) auscult.show({ ...curve, type: "Curve" }, row, { extents: alike ? extents : null });
  };
  auscult.draw.SmallMultiples = (block, host, { compact } = {}) => {
    const all = block.curves.flatMap((curve) => seriesOf(curve, array(curve.x)));
    const extents = curveExtents(all);
    if (!compact && block.curves.length <= LARGE) return beside(block, host, extents);
    const grid = el("div", { class: "multiples" });
    host.append(grid);
    for (const curve of block.curves) {
      const cell = el("div", { class: "multiple" }, el("h4", {}, el("bdi", {}, curve.title)));
      const body = el("div", { class: "multiple-body" });
      cell.append(body);
      grid.append(cell);
      auscult.whenSeen(cell, () => drawCurve(curve, body, { bare: true, extents, height: compact ? 56 : 72 }));
    }
    const first = block.curves[0];
    if (!first) return;
    const names = seriesOf(first, array(first.x));
    const legend = auscult.legend(names);
    if (legend) host.prepend(legend);
    const [xs, ys] = extents;
    const span = ([low, high], axis) => `${auscult.tick(low, axis)} to ${auscult.tick(high, axis)}`;
    host.append(el("p", { class: "note" }, `All on one scale. Across: ${first.x_axis.label}, ${span(xs, first.x_axis)}${first.x_axis.scale === "log" ? ", logarithmic" : ""}. Up: ${first.y_axis.label}, ${span(ys, first.y_axis)}.`));
  };

  auscult.draw.Histogram = (block, host, { compact } = {}) => {
    const edges = array(block.edges);
    const middles = Array.from({ length: edges.length - 1 }, (_, i) => (edges[i] + edges[i + 1]) / 2);
    const series = seriesOf(block, middles);
    if (empty(host, series.map((one) => one.y))) return;
    const width = host.clientWidth || 320;
    const ys = [Infinity, -Infinity];
    series.forEach((one) => auscult.extent(one.y, ys));
    const x = auscult.scale(block.x_axis, auscult.extent(edges));
    const y = auscult.scale(block.y_axis, ys, { zero: true, pad: 0.06 });
    const height = compact ? 150 : Math.min(300, Math.max(200, width * 0.34));
    const frame = auscult.frame({ width, height, x, y, xAxis: block.x_axis, yAxis: block.y_axis, compact, label: describe(block, series) });
    const ground = frame.py(y.log ? y.low : 0);
    for (const one of [...series].sort((a, b) => a.control - b.control)) {
      let d = `M${frame.px(edges[0]).toFixed(1)} ${ground}`;
      middles.forEach((_, i) => {
        const top = Number.isFinite(one.y[i]) && (!y.log || one.y[i] > 0) ? frame.py(one.y[i]) : ground;
        d += `V${top.toFixed(1)}H${frame.px(edges[i + 1]).toFixed(1)}`;
      });
      const kind = `series-${one.shade}${one.control ? " control" : ""}`;
      if (!one.control) frame.plot.append(svg("path", { class: `band ${kind}`, d: `${d}V${ground}Z` }));
      frame.plot.append(svg("path", { class: `line ${kind}`, d: `${d}V${ground}` }));
    }
    const legend = auscult.legend(series);
    if (legend) host.append(legend);
    host.append(frame.root);
    readCurve(host, frame, x, series, block);
  };

  auscult.draw.Bars = (block, host, options = {}) => {
    const values = array(block.values);
    if (empty(host, [values])) return;
    const few = values.length <= (options.compact ? 12 : 30);
    (few ? barRows : barColumns)(block, host, values, options);
  };

  const barRows = (block, host, values) => {
    const low = array(block.low);
    const high = array(block.high);
    const extent = [0, 0];
    for (const some of [values, low, high]) auscult.extent(some, extent);
    const scale = auscult.scale(block.y_axis.scale === "log" ? { ...block.y_axis, scale: "linear" } : block.y_axis, extent, { zero: true });
    const share = (value) => 100 * scale.share(value);
    const rows = block.names.map((name, i) => {
      const [from, to] = [share(0), share(values[i])].sort((a, b) => a - b);
      const sign = values[i] < 0 ? " negative" : "";
      return el("div", { class: "bar-row" },
        el("dt", {}, el("bdi", {}, name)),
        el("dd", {},
          el("span", { class: "bar-lane", "aria-hidden": "true" },
            el("span", { class: `bar-fill${sign}`, style: { left: `${from}%`, width: `${to - from}%` } }),
            low && high ? el("span", { class: "bar-span", style: { left: `${share(low[i])}%`, width: `${share(high[i]) - share(low[i])}%` } }) : null),
          el("span", { class: "bar-value" }, number(Number(values[i].toPrecision(4))))));
    });
    host.append(el("p", { class: "axis-name" }, block.y_axis.label), el("dl", { class: low && high ? "bar-rows spanned" : "bar-rows", "aria-label": `${block.title}: ${block.y_axis.label}` }, rows));
  };

  const barColumns = (block, host, values, { compact } = {}) => {
    const width = host.clientWidth || 320;
    const low = array(block.low);
    const high = array(block.high);
    const extent = [0, 0];
    for (const some of [values, low, high]) auscult.extent(some, extent);
    const numeric = { ...block.x_axis, scale: "linear" };
    const x = auscult.scale(numeric, [-0.5, values.length - 0.5], { whole: true });
    const y = auscult.scale(block.y_axis, extent, { zero: true, pad: 0.04 });
    const frame = auscult.frame({ width, height: compact ? 150 : 240, x, y, xAxis: numeric, yAxis: block.y_axis, compact, label: describe(block, [{ name: "", y: values }]) });
    const size = Math.max(0.8, ((frame.box.right - frame.box.left) / values.length) * (values.length > 200 ? 1 : 0.78));
    for (let i = 0; i < values.length; i++) {
      if (!Number.isFinite(values[i])) continue;
      const [top, ground] = [frame.py(values[i]), frame.py(0)];
      frame.plot.append(svg("rect", { class: `bar-fill${values[i] < 0 ? " negative" : ""}`, x: frame.px(i) - size / 2, width: size, y: Math.min(top, ground), height: Math.max(0.5, Math.abs(top - ground)) }));
      if (low && high) frame.plot.append(svg("line", { class: "bar-span", x1: frame.px(i), x2: frame.px(i), y1: frame.py(low[i]), y2: frame.py(high[i]) }));
    }
    host.append(frame.root);
    auscult.hover(host, frame.root, (at) => {
      const i = at && Math.round(x.value((at[0] - frame.box.left) / (frame.box.right - frame.box.left)));
      return at && i >= 0 && i < values.length ? [block.names[i], `${number(Number(values[i].toPrecision(4)))} ${block.y_axis.unit}`.trim()] : null;
    });
  };

  const SHAPES = [
    (x, y, r) => svg("circle", { cx: x, cy: y, r }),
    (x, y, r) => svg("rect", { x: x - r, y: y - r, width: 2 * r, height: 2 * r }),
    (x, y, r) => svg("path", { d: `M${x} ${y - 1.3 * r}L${x + 1.2 * r} ${y + r}H${x - 1.2 * r}Z` }),
    (x, y, r) => svg("path", { d: `M${x} ${y - 1.4 * r}L${x + 1.4 * r} ${y}L${x} ${y + 1.4 * r}L${x - 1.4 * r} ${y}Z` }),
  ];
  // Points of one group in one place, largest pile first so that none hides another.
  const piled = (xs, ys, groups, there) => {
    const piles = new Map();
    for (let i = 0; i < xs.length; i++) {
      if (!there(i)) continue;
      const key = `${xs[i]} ${ys[i]} ${groups[i] ?? ""}`;
      if (piles.has(key)) piles.get(key).count++;
      else piles.set(key, { i, count: 1 });
    }
    return [...piles.values()].sort((a, b) => b.count - a.count);
  };
  auscult.draw.Scatter = (block, host, { compact } = {}) => {
    const [xs, ys] = [array(block.x), array(block.y)];
    const groups = [...new Set(block.groups)];
    if (empty(host, [xs, ys])) return;
    const width = host.clientWidth || 320;
    // Against itself a quantity has one scale, so that what is equal lies on the straight line.
    const both = block.diagonal ? [...xs, ...ys] : null;
    const x = auscult.scale(block.x_axis, positive(block.x_axis, [both ?? xs]) ?? auscult.extent(both ?? xs), { pad: 0.03 });
    const y = auscult.scale(block.y_axis, positive(block.y_axis, [both ?? ys]) ?? auscult.extent(both ?? ys), { pad: 0.05 });
    const height = compact ? 180 : Math.min(460, Math.max(260, width * 0.55));
    const frame = auscult.frame({ width, height, x, y, xAxis: block.x_axis, yAxis: block.y_axis, compact, label: `${block.title}. ${xs.length} points, ${block.y_axis.label} against ${block.x_axis.label}.` });
    const radius = xs.length > 800 ? 1.6 : xs.length > 150 ? 2.4 : 3.4;
    if (block.diagonal) {
      const [low, high] = [Math.max(x.low, y.low), Math.min(x.high, y.high)];
      frame.plot.append(svg("line", { class: "diagonal", x1: frame.px(low), x2: frame.px(high), y1: frame.py(low), y2: frame.py(high) }));
    }
    const there = (i) => Number.isFinite(xs[i]) && Number.isFinite(ys[i]) && !(x.log && xs[i] <= 0) && !(y.log && ys[i] <= 0);
    const stacked = piled(xs, ys, block.groups, there);
    for (const { i, count } of stacked) {
      const group = Math.max(0, groups.indexOf(block.groups[i]));
      const { shade, mark } = styled(group, SHADES);
      const point = SHAPES[mark](frame.px(xs[i]), frame.py(ys[i]), radius * Math.min(4, Math.cbrt(count)));
      point.setAttribute("class", `point series-${shade}`);
      frame.plot.append(point);
    }
    const most = Math.max(1, ...stacked.map(({ count }) => count));
    if (groups.length > 1) {
      const legend = auscult.legend(groups.map((name) => ({ name })));
      legend.classList.add("dots");
      host.append(legend);
    }
    host.append(frame.root);
    const told = [block.diagonal ? "Line: both are equal." : "", most > 1 ? `Larger marks: up to ${number(most)} points in one place.` : ""].filter(Boolean).join(" ");
    if (told) host.append(el("p", { class: "note" }, told));
    auscult.hover(host, frame.root, (at) => {
      if (!at) return null;
      let best = -1;
      let least = 24 ** 2;
      for (let i = 0; i < xs.length; i++) {
        const distance = (frame.px(xs[i]) - at[0]) ** 2 + (frame.py(ys[i]) - at[1]) ** 2;
        if (distance < least) [best, least] = [i, distance];
      }
      if (best < 0) return null;
      const where = `${number(Number(xs[best].toPrecision(4)))} ${block.x_axis.unit}, ${number(Number(ys[best].toPrecision(4)))} ${block.y_axis.unit}`;
      return [block.labels[best], block.groups[best], where].filter(Boolean);
    });
  };
})();
