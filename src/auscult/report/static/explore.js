"use strict";
// A chart in detail, with zoom and exact values: plotly.js, loaded only when somebody asks for it.
(() => {
  const { el, array } = auscult;
  const KINDS = new Set(["Curve", "Histogram", "Heatmap", "Scatter", "Bars"]);

  const BUTTONS = ["toImage", "zoom2d", "pan2d", "zoomIn2d", "zoomOut2d", "resetScale2d"];
  const CONFIG = { responsive: true, displaylogo: false, modeBarButtons: [BUTTONS] };

  const lines = (block) => {
    const own = array(block.x ?? null);
    const edges = array(block.edges ?? null);
    const middles = edges && Array.from(edges).slice(1).map((edge, i) => (edge + edges[i]) / 2);
    return block.series.map((one) => ({
      type: "scatter", mode: "lines", name: one.name,
      x: Array.from(one.x ? array(one.x) : own ?? middles), y: Array.from(array(one.y)),
      line: { dash: one.control ? "dash" : "solid", shape: edges ? "hvh" : "linear" },
    }));
  };
  const grouped = (block) => {
    const names = block.groups.length ? [...new Set(block.groups)] : [""];
    const [xs, ys] = [Array.from(array(block.x)), Array.from(array(block.y))];
    return names.map((name) => {
      const mine = xs.map((_, i) => i).filter((i) => !name || block.groups[i] === name);
      const take = (values) => mine.map((i) => values[i]);
      return { type: "scatter", mode: "markers", name: escaped(name), x: take(xs), y: take(ys), text: block.labels.length ? take(block.labels).map(escaped) : undefined };
    });
  };
  // Plotly reads a little HTML in texts; angle brackets of ours are letters.
  const escaped = (text) => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");

  const named = (names, packed) => (names?.length ? names : Array.from(array(packed)));
  const told = (one) => (typeof one === "string" ? escaped(one) : one);
  const heat = (block, tables) => {
    const [rows, columns] = block.values.shape ?? [1, 1];
    const values = array(block.values);
    const table = tables[block.colour_map] ?? tables.sequential;
    const [low, high] = auscult.colourRange(values, block.colour_map);
    const colorscale = Array.from({ length: 33 }, (_, i) => {
      const at = 3 * Math.round((i * 255) / 32);
      return [i / 32, `rgb(${table[at]},${table[at + 1]},${table[at + 2]})`];
    });
    const z = Array.from({ length: rows }, (_, i) => Array.from(values.subarray(i * columns, (i + 1) * columns)));
    return [{ type: "heatmap", x: named(block.x_names, block.x).map(told), y: named(block.y_names, block.y).map(told), z, zmin: low, zmax: high, colorscale, colorbar: { title: { text: escaped(block.value_axis.label), side: "right" } } }];
  };
  const traces = async (block) => {
    if (block.type === "Heatmap") return heat(block, await auscult.colours());
    if (block.type === "Scatter") return grouped(block);
    if (block.type === "Bars") return [{ type: "bar", x: block.names.map(escaped), y: Array.from(array(block.values)) }];
    return lines(block).map((line) => ({ ...line, name: escaped(line.name) }));
  };

  const layout = (block) => {
    const style = getComputedStyle(document.documentElement);
    const ink = style.getPropertyValue("--ink").trim();
    const rule = style.getPropertyValue("--rule").trim();
    const named = block.type !== "Heatmap" && block.x_names?.length ? { tickvals: block.x_names.map((_, i) => i), ticktext: block.x_names.map(escaped) } : {};
    const axis = (told) => ({ title: { text: escaped(told.label) }, type: told.scale === "log" ? "log" : undefined, gridcolor: rule, zerolinecolor: rule, linecolor: rule, automargin: true });
    return {
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { color: ink, family: "system-ui, sans-serif", size: 13 },
      margin: { l: 60, r: 20, t: 16, b: 50 }, xaxis: { ...axis(block.x_axis), ...named }, yaxis: axis(block.y_axis), autosize: true,
      colorway: [0, 1, 2, 3, 4, 5].map((i) => style.getPropertyValue(`--series-${i}`).trim()),
      legend: { orientation: "h", y: 1.08 },
      modebar: { bgcolor: "rgba(0,0,0,0)", color: rule, activecolor: ink },
    };
  };

  const open = async (block, button) => {
    const body = el("div", { class: "explore-body" }, el("p", { class: "note" }, "Loading …"));
    const dialog = el("dialog", { class: "explore", "aria-label": block.title }, el("header", {}, el("h2", {}, el("bdi", {}, block.title)), el("button", { type: "button", class: "close", "aria-label": "Close", onclick: () => dialog.close() }, "✕")), body);
    document.body.append(dialog);
    dialog.addEventListener("close", () => {
      dialog.remove();
      button.focus();
    });
    dialog.showModal();
    try {
      if (!window.Plotly) await auscult.script("assets/plotly.min.js");
      const data = await traces(block);
      body.replaceChildren();
      await window.Plotly.newPlot(body, data, layout(block), CONFIG);
    } catch {
      body.replaceChildren(el("p", { class: "missing" }, "The detailed view could not be loaded: assets/plotly.min.js is missing."));
    }
  };

  // The numbers of a chart as comma-separated values.
  const quote = (value) => {
    const text = value === undefined || value === null || Number.isNaN(value) ? "" : String(value);
    if (typeof value === "number") return text;
    const plain = /^[=+\-@\t]/.test(text) ? `'${text}` : text;
    return /[",\n]/.test(plain) ? `"${plain.replace(/"/g, '""')}"` : plain;
  };
  auscult.csvOf = (block) => {
    let rows;
    if (block.type === "Heatmap") {
      const [xs, ys, values] = [named(block.x_names, block.x), named(block.y_names, block.y), array(block.values)];
      rows = [[`${block.y_axis.label} \\ ${block.x_axis.label}`, ...xs], ...Array.from(ys, (y, i) => [y, ...values.slice(i * xs.length, (i + 1) * xs.length)])];
    } else if (block.type === "Scatter") {
      const [xs, ys] = [array(block.x), array(block.y)];
      rows = [[block.x_axis.label, block.y_axis.label, "label", "group"], ...Array.from(xs, (x, i) => [x, ys[i], block.labels[i], block.groups[i]])];
    } else if (block.type === "Graph") {
      const [sources, targets, weights] = [array(block.sources), array(block.targets), array(block.weights)];
      rows = [["from", "to", block.value_axis.label], ...Array.from(weights, (weight, i) => [block.nodes[sources[i]], block.nodes[targets[i]], weight])];
    } else if (block.type === "Bars") {
      const [values, low, high] = [array(block.values), array(block.low), array(block.high)];
      rows = [[block.x_axis.label, block.y_axis.label, "low", "high"], ...block.names.map((name, i) => [name, values[i], low?.[i], high?.[i]])];
    } else {
      rows = [["series", block.x_axis.label, block.y_axis.label], ...lines(block).flatMap((one) => one.x.map((x, i) => [one.name, block.x_names?.length ? block.x_names[x] : x, one.y[i]]))];
    }
    return rows.map((row) => Array.from(row, quote).join(",")).join("\n");
  };

  const save = (block) => {
    const url = URL.createObjectURL(new Blob([auscult.csvOf(block)], { type: "text/csv" }));
    el("a", { href: url, download: `${block.title.replace(/[^\w -]+/g, "").trim() || "data"}.csv` }).click();
    setTimeout(() => URL.revokeObjectURL(url), 1000);
  };

  auscult.tools = (block) =>
    KINDS.has(block.type) || block.type === "Graph"
      ? el("span", { class: "tools" },
          KINDS.has(block.type) ? el("button", { type: "button", class: "tool", "aria-label": `Explore: ${block.title}`, onclick: (event) => open(block, event.currentTarget) }, "Explore") : null,
          el("button", { type: "button", class: "tool", "aria-label": `Save as CSV: ${block.title}`, onclick: () => save(block) }, "CSV"))
      : null;
})();
