"use strict";
// A desk: options to choose, the sound that belongs to them, and curves over it. Switching goes on at the same place.
(() => {
  const { el, svg, array, number } = auscult;
  const MOST_PILLS = 6;
  let desks = 0;

  // The place of a combination of options among all, the last choice varying fastest.
  const placeOf = (choices, picked) => choices.reduce((place, one, i) => place * one.options.length + picked[i], 0);

  // Frames of one curve as a path through [0, 1000] x [0, 100], broken where there is no value.
  const pathOf = (clip, times, values, share) => {
    const span = clip.stop - clip.start;
    let d = "";
    let pen = "M";
    for (let i = 0; i < times.length; i++) {
      const up = share(values[i]);
      if (!Number.isFinite(up) || times[i] < clip.start || times[i] > clip.stop) { pen = "M"; continue; }
      d += `${pen}${((1000 * (times[i] - clip.start)) / span).toFixed(1)} ${(100 - 100 * Math.min(Math.max(up, 0), 1)).toFixed(1)}`;
      pen = "L";
    }
    return d;
  };
  const drawing = (kind, lines) =>
    svg("svg", { class: kind, viewBox: "0 0 1000 100", preserveAspectRatio: "none", "aria-hidden": "true" },
      lines.map(({ d, shade, beside }) => svg("path", { class: `desk-line series-${shade}${beside ? " beside" : ""}`, d })));

  // Everything that a block's curves need, whichever combination is shown.
  const curvesOf = (block) => {
    const [, count, frames] = auscult.shape(block.values).length === 3 ? auscult.shape(block.values) : [0, 0, 0];
    const values = array(block.values);
    const of = (place, curve) => Array.from({ length: frames }, (_, i) => values[(place * count + curve) * frames + i]);
    const ranges = block.curves.map((_, curve) => {
      const extent = [Infinity, -Infinity];
      for (let place = 0; place < block.clips.length; place++) auscult.extent(of(place, curve), extent);
      return extent;
    });
    const onPicture = block.curve_axes.map((axis) => axis.unit === "Hz");
    return { of, ranges, onPicture, times: array(block.times_s) };
  };

  const lanesOf = (block, curves, clip, place, beside) =>
    block.curves.map((name, curve) => {
      if (curves.onPicture[curve]) return null;
      const [low, high] = curves.ranges[curve];
      const share = (value) => (value - low) / (high - low || 1);
      const lines = [[beside, true], [place, false]].filter(([one]) => one !== null)
        .map(([one, faint]) => ({ d: pathOf(clip, curves.times, curves.of(one, curve), share), shade: curve, beside: faint }));
      const axis = block.curve_axes[curve];
      const ends = `${number(Number(low.toPrecision(3)))} to ${number(Number(high.toPrecision(3)))} ${axis.unit}`.trim();
      return el("div", { class: "lane desk-lane" }, drawing("desk-curve", lines), el("span", { class: "lane-name" }, el("bdi", {}, `${name}, ${ends}`)));
    }).filter(Boolean);

  const overlay = (block, curves, clip, place, beside) => {
    const share = auscult.hzShare(clip);
    const lines = block.curves.flatMap((_, curve) =>
      curves.onPicture[curve]
        ? [[beside, true], [place, false]].filter(([one]) => one !== null)
            .map(([one, faint]) => ({ d: pathOf(clip, curves.times, curves.of(one, curve), (hz) => (hz > 0 ? share(hz) : NaN)), shade: curve, beside: faint }))
        : []);
    return drawing("desk-over", lines);
  };

  const mean = (values) => {
    const known = values.filter(Number.isFinite);
    return known.length ? known.reduce((sum, value) => sum + value, 0) / known.length : NaN;
  };
  const legend = (block, curves, place, beside, besideName) =>
    el("ul", { class: "desk-legend" }, block.curves.map((name, curve) => {
      const told = (one) => `${number(Number(mean(curves.of(one, curve)).toPrecision(3)))}`;
      const unit = block.curve_axes[curve].unit;
      const against = beside === null || beside === place ? "" : ` (${besideName} ${told(beside)})`;
      return el("li", { class: `series-${curve}` }, el("i", { "aria-hidden": "true" }), el("span", {}, el("bdi", {}, `${name}: mean ${told(place)} ${unit}`.trim() + against)));
    }));

  // One control: a slider where options are steps, else pills or a list.
  const control = (choice, at, name, onpick) => {
    const label = el("span", { class: "desk-label", id: `${name}-label` }, el("bdi", {}, choice.name));
    if (choice.ordered) {
      const value = el("output", { class: "desk-value" }, el("bdi", {}, choice.options[at]));
      const slider = el("input", { type: "range", min: 0, max: choice.options.length - 1, step: 1, value: at, "aria-labelledby": `${name}-label`, "aria-valuetext": choice.options[at] });
      const set = (place) => {
        slider.value = place;
        slider.setAttribute("aria-valuetext", choice.options[place]);
        value.replaceChildren(el("bdi", {}, choice.options[place]));
      };
      slider.addEventListener("input", () => {
        set(Number(slider.value));
        onpick(Number(slider.value));
      });
      return { root: el("div", { class: "desk-control desk-slide" }, label, slider, value), set };
    }
    if (choice.options.length > MOST_PILLS) {
      const list = el("select", { "aria-labelledby": `${name}-label`, onchange: (event) => onpick(event.currentTarget.selectedIndex) },
        choice.options.map((option, i) => el("option", { selected: i === at }, option)));
      return { root: el("div", { class: "desk-control" }, label, list), set: (place) => (list.selectedIndex = place) };
    }
    const radios = choice.options.map((_, i) => el("input", { type: "radio", name, value: i, checked: i === at, onchange: () => onpick(i) }));
    const pills = choice.options.map((option, i) => el("label", { class: "pill" }, radios[i], el("span", {}, el("bdi", {}, option))));
    return {
      root: el("div", { class: "desk-control", role: "radiogroup", "aria-labelledby": `${name}-label` }, label, el("span", { class: "pills" }, pills)),
      set: (place) => (radios[place].checked = true),
    };
  };

  auscult.draw.Choices = (block, host) => {
    const { choices, clips } = block;
    const curves = curvesOf(block);
    const picked = choices.map((one) => one.start);
    const held = choices.findIndex((one) => one.against.length);
    const id = `desk-${++desks}`;
    const view = el("div", { class: "desk-view" });
    const told = el("p", { class: "desk-told", role: "status" });
    const said = () => choices.map((one, i) => `${one.name} ${one.options[picked[i]]}`).join(", ");
    const clipAt = (options) => clips[placeOf(choices, options)];
    const with_ = (choice, option) => picked.map((one, i) => (i === choice ? option : one));

    const show = () => {
      const place = placeOf(choices, picked);
      const clip = clips[place];
      const beside = held < 0 ? null : placeOf(choices, with_(held, choices[held].against[0]));
      auscult.player.forget(view);
      if (!clip || clip.missing) {
        const why = clip ? `${clip.name}: ${clip.missing}` : "no sound was made for it";
        view.replaceChildren(el("p", { class: "missing" }, `${said()}: ${why}`));
        return;
      }
      const strip = auscult.strip(clip, lanesOf(block, curves, clip, place, beside), { tall: true });
      strip.querySelector(".stage-pic").append(overlay(block, curves, clip, place, beside));
      const name = held < 0 ? "" : choices[held].options[choices[held].against[0]];
      view.replaceChildren(strip, legend(block, curves, place, beside, name));
    };

    // The sound that plays is exchanged for the one chosen now, at the same place.
    const change = (choice, option, start = false) => {
      const playing = auscult.player.clip && clips.includes(auscult.player.clip);
      const { position } = auscult.player;
      picked[choice] = option;
      controls.forEach((one, i) => one.set(picked[i]));
      buttons.forEach(([button, place]) => button.setAttribute("aria-pressed", String(picked[held] === place)));
      show();
      told.textContent = said();
      const clip = clipAt(picked);
      if (!clip || clip.missing) return void (playing && auscult.player.stop());
      if (playing) auscult.player.play(clip, Math.min(Math.max(position, clip.start), clip.stop - 0.05));
      else if (start) auscult.player.play(clip);
      else auscult.player.prefetch(clip).catch(() => {});
    };

    const controls = choices.map((one, i) => control(one, picked[i], `${id}-${i}`, (option) => change(i, option)));
    let back = held < 0 ? 0 : picked[held];
    const buttons = held < 0 ? [] : choices[held].against.map((place) => [
      el("button", { type: "button", class: "tool desk-against", "aria-pressed": String(picked[held] === place), onclick: () => {
        // A second press goes back to what was chosen before.
        const returns = picked[held] === place;
        if (!returns && !choices[held].against.includes(picked[held])) back = picked[held];
        change(held, returns ? back : place, true);
      } }, `Hear ${choices[held].options[place]}`),
      place,
    ]);
    host.append(el("div", { class: "desk" },
      el("div", { class: "desk-controls" }, controls.map((one) => one.root), buttons.length ? el("div", { class: "desk-control" }, buttons.map(([button]) => button)) : null),
      view, told));
    show();
  };
})();
