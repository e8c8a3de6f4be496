"use strict";
// Matrices on a canvas, with the colour map that their values ask for.
(() => {
  const { el, svg, array, number } = auscult;

  // Range of the colours: diverging ones are symmetric about 0, boolean ones are 0 and 1.
  auscult.colourRange = (values, kind) => {
    if (kind === "boolean") return [0, 1];
    const [low, high] = auscult.extent(values);
    if (!Number.isFinite(low)) return [0, 1];
    if (kind === "diverging") {
      const most = Math.max(Math.abs(low), Math.abs(high)) || 1;
      return [-most, most];
    }
    return low === high ? [low, low + 1] : [low, high];
  };

  auscult.colourBar = (table, [low, high], axis) =>
    el("div", { class: "colourbar", role: "img", "aria-label": `Colours: ${axis.label} from ${number(low)} to ${number(high)}` },
      el("span", {}, auscult.tick(Number(low.toPrecision(3)), axis)),
      el("i", { style: { background: auscult.gradient(table) } }),
      el("span", {}, auscult.tick(Number(high.toPrecision(3)), axis)),
      el("span", { class: "colourbar-name" }, axis.label));

  // Paint a grid of values: `pick(column, row)` gives the index of the value under a pixel, or -1.
  auscult.paint = (canvas, values, table, [low, high], pick) => {
    const brush = canvas.getContext("2d");
    const image = brush.createImageData(canvas.width, canvas.height);
    const factor = 255 / (high - low);
    for (let row = 0, at = 0; row < canvas.height; row++) {
      for (let column = 0; column < canvas.width; column++, at += 4) {
        const index = pick(column, row);
        const value = index < 0 ? NaN : values[index];
        if (Number.isNaN(value)) continue;
        const colour = 3 * Math.round(Math.min(Math.max((value - low) * factor, 0), 255));
        image.data[at] = table[colour];
        image.data[at + 1] = table[colour + 1];
        image.data[at + 2] = table[colour + 2];
        image.data[at + 3] = 255;
      }
    }
    brush.putImageData(image, 0, 0);
  };

  // Which cell each pixel of an axis falls into: cells end halfway to their neighbours.
  const cells = (centres, axis, pixels) => {
    const log = axis.scale === "log" && centres.every((value) => value > 0);
    const middle = (a, b) => (log ? Math.sqrt(a * b) : (a + b) / 2);
    const inner = centres.slice(1).map((value, i) => middle(centres[i], value));
    const mirror = (edge, centre) => (log ? (centre * centre) / edge : 2 * centre - edge);
    const last = centres.length - 1;
    const edges = last ? [mirror(inner[0], centres[0]), ...inner, mirror(inner[last - 1], centres[last])] : [centres[0] - 0.5, centres[0] + 0.5];
    const scale = auscult.scale({ ...axis, scale: log ? "log" : "linear" }, [edges[0], edges[last + 1]], { whole: auscult.whole(centres) });
    const index = new Int32Array(pixels);
    for (let pixel = 0, cell = 0; pixel < pixels; pixel++) {
      const value = scale.value((pixel + 0.5) / pixels);
      while (cell < last && value > edges[cell + 1]) cell++;
      index[pixel] = cell;
    }
    return { scale, index };
  };
  const MOST_WRITTEN = 150;
  // Ways of writing the numbers of one table, the fullest first: each by itself; all with as many decimals as
  // the largest needs for two digits, where these are few; all in its power of ten.
  const spellings = (values) => {
    const largest = Math.max(...Array.from(values).filter(Number.isFinite).map(Math.abs));
    const power = largest > 0 ? Math.floor(Math.log10(largest)) : 0;
    const all = (one) => Array.from(values, (value) => (Number.isFinite(value) ? one(value) : "–"));
    const fixed = (value, decimals) => value.toFixed(decimals).replace("-", "−").replace(/^−(0(?:\.0+)?)$/, "$1");
    const found = [{ power: 0, words: all((value) => number(Number(value.toPrecision(2)))) }];
    if (Math.abs(power) <= 3) found.push({ power: 0, words: all((value) => fixed(value, Math.max(1 - power, 0))) });
    return [...found, { power, words: all((value) => fixed(value / 10 ** power, 1)) }];
  };
  // The numbers of a small table of things, in ink that can be read on the cell's colour and in the fullest way
  // that leaves room between them. Gives the power of ten that they stand in; null where none fits.
  const write = (frame, values, table, [low, high], xs, ys, rowOf, room) => {
    const texts = Array.from(values, (value, i) => {
      const at = 3 * Math.round(Math.min(Math.max((255 * (value - low)) / (high - low), 0), 255));
      const light = Number.isFinite(value) ? 0.299 * table[at] + 0.587 * table[at + 1] + 0.114 * table[at + 2] : null;
      return svg("text", { x: frame.px(xs[i % xs.length]), y: frame.py(ys[rowOf(Math.floor(i / xs.length))]) + 4, "text-anchor": "middle", class: "cell", fill: light === null ? "currentColor" : light > 140 ? "#14181a" : "#ffffff" });
    });
    frame.plot.append(...texts);
    for (const { power, words } of spellings(values)) {
      texts.forEach((text, i) => text.replaceChildren(words[i]));
      if (texts.every((text) => text.getComputedTextLength() + 6 <= room)) return power;
    }
    texts.forEach((text) => text.remove());
    return null;
  };
  const ascending = (values) => values.every((value, i) => i === 0 || value > values[i - 1]);

  auscult.draw.Heatmap = async (block, host, { compact } = {}) => {
    const tables = await auscult.colours();
    const table = tables[block.colour_map] ?? tables.sequential;
    const values = array(block.values);
    const [rows, columns] = auscult.shape(block.values);
    if (!values.some(Number.isFinite)) return void host.append(el("p", { class: "no-values" }, "No values: every one of them is missing."));
    const numbered = (packed, count) => {
      const given = Array.from(array(packed));
      return ascending(given) ? given : Array.from({ length: count }, (_, i) => i);
    };
    const [xs, ys] = [numbered(block.x, columns), numbered(block.y, rows)];
    const width = host.clientWidth || 320;
    const height = compact ? 190 : Math.min(480, Math.max(240, Math.min(width * 0.5, rows * 16 + 70)));
    const [xNames, yNames] = [block.x_names, block.y_names].map((names) => (names?.length ? names : null));
    // Things are read from the top, places on a scale from the bottom.
    const fromBelow = yNames && [...yNames].reverse();
    const rowOf = (fromBottom) => (yNames ? rows - 1 - fromBottom : fromBottom);
    const rough = auscult.scale(block.y_axis, auscult.extent(ys), { whole: auscult.whole(ys) });
    const sized = auscult.frame({ width, height, x: rough, y: rough, xAxis: block.x_axis, yAxis: block.y_axis, compact, label: "", xNames, yNames: fromBelow }).box;
    const [w, h] = [Math.round(sized.right - sized.left), Math.round(sized.bottom - sized.top)];
    const across = cells(xs, block.x_axis, 2 * w);
    const up = cells(ys, block.y_axis, 2 * h);
    const range = auscult.colourRange(values, block.colour_map);
    const label = `${block.title}. ${block.value_axis.label} over ${block.x_axis.label} and ${block.y_axis.label}, ${rows} by ${columns} cells, ${number(range[0])} to ${number(range[1])}.`;
    const frame = auscult.frame({ width, height, x: across.scale, y: up.scale, xAxis: block.x_axis, yAxis: block.y_axis, compact, label, xNames, yNames: fromBelow });
    const { box } = frame;
    const canvas = el("canvas", { width: 2 * w, height: 2 * h, class: "heat", "aria-hidden": "true" });
    auscult.paint(canvas, values, table, range, (column, row) => rowOf(up.index[2 * h - 1 - row]) * columns + across.index[column]);
    frame.grid.querySelectorAll(".rule, .zero").forEach((line) => line.remove());
    frame.plot.append(svg("image", { x: box.left, y: box.top, width: box.right - box.left, height: box.bottom - box.top, href: canvas.toDataURL(), preserveAspectRatio: "none" }));
    const bar = auscult.colourBar(table, range, block.value_axis);
    host.replaceChildren(frame.root, bar);
    if ((xNames || yNames) && rows * columns <= MOST_WRITTEN && h / rows > 12) {
      const power = write(frame, values, table, range, xs, ys, rowOf, w / columns);
      if (power) bar.append(el("span", { class: "colourbar-name" }, `numbers in the cells × ${auscult.tenTo(power)}`));
    }
    auscult.hover(host, frame.root, (at) => {
      if (!at) return null;
      const column = across.index[Math.floor(((at[0] - box.left) / (box.right - box.left)) * 2 * w)];
      const fromBottom = up.index[Math.floor(((box.bottom - at[1]) / (box.bottom - box.top)) * 2 * h)];
      if (column === undefined || fromBottom === undefined) return null;
      const row = rowOf(fromBottom);
      const place = (value, i, names) => names?.[i] ?? number(Number(value.toPrecision(4)));
      const [x, y] = [place(xs[column], column, xNames), place(ys[row], row, yNames)];
      return [`${number(Number(values[row * columns + column].toPrecision(4)))} ${block.value_axis.unit}`.trim(), `${block.x_axis.name} ${x} ${block.x_axis.unit}`.trim(), `${block.y_axis.name} ${y} ${block.y_axis.unit}`.trim()];
    });
  };
})();
