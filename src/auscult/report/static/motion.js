"use strict";
// A point that moves through a plane while its clip plays or is scrubbed: waveform, plane and activity keep one time.
(() => {
  const { el, svg, array, number } = auscult;
  const TRAIL_S = 0.25;
  const CALM_S = 0.25;

  // The last frame that has begun at a time.
  const frameAt = (times, seconds) => {
    let [low, high] = [0, times.length - 1];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (times[middle] <= seconds) low = middle;
      else high = middle - 1;
    }
    return low;
  };

  const planeOf = (block, host, xs, ys) => {
    const width = Math.min(host.clientWidth || 320, 400);
    const x = auscult.scale(block.x_axis, block.extent?.x ?? auscult.extent(xs), { pad: 0.06 });
    const y = auscult.scale(block.y_axis, block.extent?.y ?? auscult.extent(ys), { pad: 0.06 });
    const label = `${block.title}. A path of ${xs.length} frames through ${block.x_axis.label} and ${block.y_axis.label}.`;
    const frame = auscult.frame({ width, height: 0.96 * width, x, y, xAxis: block.x_axis, yAxis: block.y_axis, label });
    const points = Array.from(xs, (value, i) => [frame.px(value), frame.py(ys[i])]);
    const line = (from, to) => {
      let d = "";
      let pen = "M";
      for (let i = from; i <= to; i++) {
        if (!points[i].every(Number.isFinite)) { pen = "M"; continue; }
        d += `${pen}${points[i][0].toFixed(1)} ${points[i][1].toFixed(1)}`;
        pen = "L";
      }
      return d;
    };
    const trail = svg("path", { class: "trail" });
    const dot = svg("circle", { class: "dot", r: 6 });
    frame.plot.append(svg("path", { class: "path", d: line(0, points.length - 1) }), trail, dot);
    return { root: frame.root, points, line, trail, dot };
  };

  // Show frame i; what lies before it within the trail's time is drawn behind it.
  const show = (plane, times, i) => {
    const [x, y] = plane.points[i];
    plane.dot.toggleAttribute("hidden", !Number.isFinite(x) || !Number.isFinite(y));
    if (Number.isFinite(x) && Number.isFinite(y)) {
      plane.dot.setAttribute("cx", x);
      plane.dot.setAttribute("cy", y);
    }
    const from = Math.min(i, frameAt(times, times[i] - TRAIL_S));
    plane.trail.setAttribute("d", i > from ? plane.line(from, i) : "");
  };

  // A press on the plane goes to the nearest frame of the path.
  const reach = (plane, act) => {
    plane.root.addEventListener("click", (event) => {
      const area = plane.root.getBoundingClientRect();
      const scale = (plane.root.viewBox.baseVal.width || area.width) / area.width;
      const [x, y] = [(event.clientX - area.left) * scale, (event.clientY - area.top) * scale];
      let [best, least] = [-1, 24 ** 2];
      plane.points.forEach(([a, b], i) => {
        const distance = (a - x) ** 2 + (b - y) ** 2;
        if (distance < least) [best, least] = [i, distance];
      });
      if (best >= 0) act(best);
    });
  };

  const held = (plane) => el("div", { class: "motion-plane" }, plane.root);

  auscult.draw.Animation = async (block, host) => {
    const { clip } = block;
    const [times, xs, ys] = [array(block.times_s), array(block.x), array(block.y)];
    if (!times.length) return void host.append(el("p", { class: "no-values" }, "No values: the path has no frames."));
    const plane = planeOf(block, host, xs, ys);
    if (clip.missing) {
      show(plane, times, 0);
      return void host.append(el("div", { class: "motion" }, held(plane), auscult.missingTile(clip)));
    }
    const signed = auscult.extent(array(block.lane_values))[0] < 0;
    const activity = block.lane_values && block.lanes.length
      ? await auscult.laneViews({ clip, lanes: block.lanes, times_s: block.times_s, values: block.lane_values, value_axis: block.value_axis ?? { label: "activity", name: "activity", unit: "" }, colour_map: signed ? "diverging" : "sequential" })
      : { lanes: null, below: [] };
    const now = el("p", { class: "now", "aria-hidden": "true" });
    const told = (value, axis) => `${axis.name} ${number(Number(value.toPrecision(3)))}${axis.unit ? ` ${axis.unit}` : ""}`;
    const spoken = (seconds) => {
      const i = frameAt(times, seconds);
      return `${auscult.seconds(seconds)} s, frame ${i + 1} of ${times.length}, ${told(xs[i], block.x_axis)}, ${told(ys[i], block.y_axis)}`;
    };
    let shown = -1;
    const onmove = (seconds) => {
      const i = frameAt(times, seconds);
      // Whoever asked for calm gets four still pictures a second while a sound plays.
      const calm = auscult.calm() && auscult.player.clip === clip && shown >= 0 && Math.abs(times[i] - times[shown]) < CALM_S;
      if (i === shown || calm) return;
      shown = i;
      show(plane, times, i);
      now.textContent = spoken(seconds);
    };
    const step = Math.max(times.length > 1 ? (times.at(-1) - times[0]) / (times.length - 1) : 0.01, 0.0005);
    const { root, go } = auscult.scrubStrip(clip, activity.lanes ? [activity.lanes] : [], { step: Number(step.toPrecision(6)), onmove, spoken });
    reach(plane, (i) => go(times[i] + step * 1e-3));
    host.append(el("div", { class: "motion" }, held(plane), el("div", {}, root, now, ...activity.below)));
  };
})();
