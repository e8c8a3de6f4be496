"use strict";
// Activations over a clip, in step with the sound.
(() => {
  const { el, svg, array, number } = auscult;
  const MOST_CURVES = 8;

  const laneCurve = (clip, times, values, range) => {
    const span = clip.stop - clip.start;
    const x = (seconds) => ((1000 * (seconds - clip.start)) / span).toFixed(1);
    const y = (value) => (100 - (100 * (value - range[0])) / (range[1] - range[0])).toFixed(1);
    let line = "";
    let last = -Infinity;
    const gap = times.length > 1 ? 3 * (times[1] - times[0]) : Infinity;
    for (let i = 0; i < values.length; i++) {
      if (!Number.isFinite(values[i]) || times[i] < clip.start || times[i] > clip.stop) continue;
      line += `${times[i] - last > gap ? `${line ? `V${y(Math.max(0, range[0]))}` : ""}M${x(times[i])} ${y(Math.max(0, range[0]))}L` : "L"}${x(times[i])} ${y(values[i])}`;
      last = times[i];
    }
    const root = svg("svg", { class: "lane-curve", viewBox: "0 0 1000 100", preserveAspectRatio: "none", "aria-hidden": "true" });
    if (line) root.append(svg("path", { d: `${line}V${y(Math.max(0, range[0]))}` }));
    return root;
  };

  const laneRows = (block, clip, times, values, frames, range) => {
    const lanes = block.lanes.map((name, i) => {
      const own = values.subarray ? values.subarray(i * frames, (i + 1) * frames) : values.slice(i * frames, (i + 1) * frames);
      return el("div", { class: "lane" }, laneCurve(clip, times, own, range), el("span", { class: "lane-name" }, el("bdi", {}, name)));
    });
    return el("div", { class: "lanes" }, lanes);
  };

  const laneHeat = async (block, clip, times, values, frames, range) => {
    const tables = await auscult.colours();
    const count = block.lanes.length;
    const canvas = el("canvas", { class: "lane-heat", width: 1400, height: count, style: { height: `${Math.min(320, Math.max(90, 9 * count))}px` }, role: "img", "aria-label": `${block.value_axis.label} of ${count} lanes over time` });
    const frameAt = new Int32Array(canvas.width).fill(-1);
    const half = times.length > 1 ? (times[1] - times[0]) / 2 : clip.stop;
    for (let column = 0, i = 0; column < canvas.width; column++) {
      const seconds = clip.start + ((column + 0.5) / canvas.width) * (clip.stop - clip.start);
      while (i < frames - 1 && Math.abs(times[i + 1] - seconds) <= Math.abs(times[i] - seconds)) i++;
      if (Math.abs(times[i] - seconds) <= 1.5 * half) frameAt[column] = i;
    }
    auscult.paint(canvas, values, tables[block.colour_map] ?? tables.sequential, range, (column, row) => (frameAt[column] < 0 ? -1 : row * frames + frameAt[column]));
    return { canvas, bar: auscult.colourBar(tables[block.colour_map] ?? tables.sequential, range, block.value_axis) };
  };

  // Lanes as they lie on a strip, and what stands below it. The block has clip, times_s, values, lanes, value_axis, colour_map.
  auscult.laneViews = async (block) => {
    const { clip } = block;
    const [count, frames] = auscult.shape(block.values).length === 2 ? auscult.shape(block.values) : [1, 0];
    const values = array(block.values);
    const times = array(block.times_s);
    let range = auscult.colourRange(values, block.colour_map);
    if (block.colour_map === "sequential" && range[0] > 0) range = [0, range[1]];
    const named = `${block.value_axis.label}, ${number(Number(range[0].toPrecision(3)))} to ${number(Number(range[1].toPrecision(3)))}`;
    if (count <= MOST_CURVES) return { lanes: laneRows(block, clip, times, values, frames, range), below: [el("p", { class: "axis-name" }, named)] };
    const { canvas, bar } = await laneHeat(block, clip, times, values, frames, range);
    const list = el("details", { class: "lane-list" }, el("summary", {}, `${count} lanes, from the top`), el("ol", {}, block.lanes.map((name) => el("li", {}, el("bdi", {}, name)))));
    return { lanes: canvas, below: [bar, list] };
  };

  auscult.draw.Lanes = async (block, host, { compact } = {}) => {
    if (block.clip.missing) return void host.append(auscult.missingTile(block.clip));
    const { lanes, below } = await auscult.laneViews(block);
    host.append(auscult.strip(block.clip, [lanes], { tall: !compact }), ...below);
  };
})();
