"use strict";
// Excerpts: tiles to press, and a wide strip with axes to press anywhere.
(() => {
  const { el, svg } = auscult;
  const LOWEST_HZ = 50;

  const outlines = new Map();
  const outline = (clip) => {
    if (!outlines.has(clip.stem)) {
      outlines.set(clip.stem, auscult.load(`wave:${clip.stem}`, `clips/${clip.stem}.wave.js`).then((coded) => new Int8Array(auscult.bytes(coded).buffer)));
    }
    return outlines.get(clip.stem);
  };

  // The part of the clip's spectrogram that an excerpt covers: the whole picture, shifted behind a window.
  const picture = (clip) => {
    const span = clip.stop - clip.start;
    return el("span", { class: "pic" },
      el("img", {
        src: `clips/${clip.stem}.png`,
        alt: "",
        draggable: "false",
        style: { width: `${(100 * clip.duration) / span}%`, left: `${(-100 * clip.start) / span}%` },
      }));
  };

  const wave = (clip) => {
    const root = svg("svg", { class: "wave", viewBox: "0 -127 400 254", preserveAspectRatio: "none", "aria-hidden": "true" });
    outline(clip).then((points) => {
      const n = points.length / 2;
      const from = Math.floor((clip.start / clip.duration) * n);
      const to = Math.max(from + 1, Math.min(n, Math.ceil((clip.stop / clip.duration) * n)));
      const shown = Math.min(to - from, 400);
      const upper = [];
      const lower = [];
      let peak = 1;
      for (let i = from; i < to; i++) peak = Math.max(peak, Math.abs(points[i]), Math.abs(points[n + i]));
      for (let j = 0; j < shown; j++) {
        const [a, b] = [j, j + 1].map((k) => from + Math.floor((k * (to - from)) / shown));
        let [low, high] = [127, -127];
        for (let i = a; i < Math.max(b, a + 1); i++) [low, high] = [Math.min(low, points[i]), Math.max(high, points[n + i])];
        const x = ((j + 0.5) * 400) / shown;
        upper.push(`${x.toFixed(1)} ${((-high * 120) / peak - 1).toFixed(1)}`);
        lower.push(`${x.toFixed(1)} ${((-low * 120) / peak + 1).toFixed(1)}`);
      }
      root.append(svg("path", { d: `M${upper.join("L")}L${lower.reverse().join("L")}Z` }));
    }).catch(() => root.remove());
    return root;
  };

  const place = (clip, seconds) => `${(100 * (seconds - clip.start)) / (clip.stop - clip.start)}%`;
  const marked = (clip) => {
    if (!clip.mark) return null;
    const [from, to] = [Math.max(clip.mark[0], clip.start), Math.min(clip.mark[1], clip.stop)];
    if (to <= from || (from <= clip.start && to >= clip.stop)) return null;
    return el("span", { class: "mark", style: { left: place(clip, from), width: `${(100 * (to - from)) / (clip.stop - clip.start)}%` } });
  };

  // A cursor that follows the sound while this very clip plays.
  auscult.cursor = (clip, host, onchange) => {
    const line = el("span", { class: "cursor", hidden: true });
    host.append(line);
    auscult.player.listen((player) => {
      const mine = player.clip === clip;
      if (line.hidden === mine) line.hidden = !mine;
      if (mine) line.style.left = place(clip, player.position);
      onchange?.(mine, player.position, player.loading);
    }, line);
    return line;
  };

  auscult.missingTile = (clip) =>
    el("div", { class: "tile tile-missing" }, el("bdi", {}, clip.label), el("p", {}, `${clip.name}: ${clip.missing}`));

  const spanOf = (clip) => `${auscult.seconds(clip.start)}–${auscult.seconds(clip.stop)} s`;
  const caption = (clip) => `${spanOf(clip)} · ${auscult.decibels(clip.gain)}`;

  // What stands around a tile anyway, the item of its card and the clip's name, is not said again.
  const short = (clip, owner) => {
    const label = owner ? clip.label.replace(` of ${owner}`, "") : clip.label;
    const at = label.indexOf(`: ${clip.name}`);
    return at > 0 ? label.slice(0, at) : label;
  };

  auscult.tile = (clip, owner = "") => {
    if (clip.missing) return auscult.missingTile(clip);
    const label = short(clip, owner);
    // A sound that an analysis made is called what its tile is called.
    const meta = [clip.name, spanOf(clip), auscult.decibels(clip.gain)].filter((part) => part !== label && part !== clip.label);
    const view = el("span", { class: "tile-view" }, picture(clip), wave(clip), marked(clip));
    const button = el("button", {
      type: "button",
      class: "tile-play",
      "aria-label": `Play: ${clip.say}`,
      "aria-pressed": "false",
      onclick: () => auscult.player.toggle(clip),
      onpointerenter: () => auscult.player.prefetch(clip).catch(() => {}),
    }, view, el("span", { class: "tile-icon", "aria-hidden": "true" }));
    auscult.cursor(clip, view, (mine, _, loading) => {
      if ((button.getAttribute("aria-pressed") === "true") !== mine) button.setAttribute("aria-pressed", mine);
      button.classList.toggle("loading", mine && loading);
    });
    return el("div", { class: "tile" }, button,
      el("p", { class: "tile-label", title: clip.label }, el("bdi", {}, label)),
      el("p", { class: "tile-meta" }, meta.map((part) => el("bdi", {}, part))));
  };

  auscult.draw.ClipGrid = (block, host, { compact, owner } = {}) => {
    const kind = compact && block.clips.length <= 6 ? "tiles few" : compact ? "tiles small" : "tiles";
    const style = { "--count": String(Math.max(block.clips.length, 4)) };
    host.append(el("div", { class: kind, style }, block.clips.map((clip) => auscult.tile(clip, owner))));
  };

  // Where a frequency lies on a clip's spectrogram, 0 at the bottom and 1 at the top.
  auscult.hzShare = (clip) => {
    const [low, high] = [Math.min(LOWEST_HZ, clip.rate / 8), clip.rate / 2];
    return (hz) => Math.log(hz / low) / Math.log(high / low);
  };
  const frequencies = (clip) => {
    const share = auscult.hzShare(clip);
    const ticks = [100, 300, 1000, 3000, 10000].filter((hz) => share(hz) > 0.06 && share(hz) < 0.88);
    return el("span", { class: "hz", "aria-hidden": "true" }, el("span", { class: "hz-unit" }, "Hz"),
      ticks.map((hz) => el("span", { style: { bottom: `${100 * share(hz)}%` } }, hz >= 1000 ? `${hz / 1000}k` : String(hz))));
  };
  const timeTicks = (clip) => {
    const scale = auscult.scale({ scale: "linear" }, [clip.start, clip.stop]);
    return el("span", { class: "times", "aria-hidden": "true" },
      scale.ticks(6).map((tick) => el("span", { style: { left: place(clip, tick) } }, auscult.number(Number(tick.toFixed(3))))),
      el("span", { class: "times-unit" }, "s"));
  };

  const stageOf = (clip, extra, tall) => {
    const stage = el("div", { class: "stage" }, wave(clip), el("span", { class: "stage-pic" }, picture(clip), frequencies(clip)), ...extra, marked(clip));
    stage.classList.toggle("tall", tall);
    return stage;
  };
  const playButton = (clip, onclick) =>
    el("button", { type: "button", class: "strip-play", "aria-label": `Play: ${clip.say}`, "aria-pressed": "false", onclick });
  const press = (button, mine) => {
    if ((button.getAttribute("aria-pressed") === "true") !== mine) button.setAttribute("aria-pressed", mine);
  };
  const headOf = (clip, button, ...more) =>
    el("div", { class: "strip-head" }, button, el("span", { class: "strip-name" }, el("bdi", {}, clip.label), el("small", {}, el("bdi", {}, clip.name), ` · ${caption(clip)}`)), ...more);
  const secondsAt = (clip, stage, event) => {
    const area = stage.getBoundingClientRect();
    return clip.start + Math.min(Math.max((event.clientX - area.left) / area.width, 0), 1) * (clip.stop - clip.start);
  };
  const seek = (clip, seconds) => auscult.player.play(clip, Math.min(Math.max(seconds, clip.start), clip.stop - 0.02));

  // A wide strip: waveform, spectrogram and whatever runs below on the same time axis; a press seeks.
  auscult.strip = (clip, extra = [], { tall = true } = {}) => {
    if (clip.missing) return auscult.missingTile(clip);
    const stage = stageOf(clip, extra, tall);
    const button = playButton(clip, () => auscult.player.toggle(clip));
    stage.addEventListener("click", (event) => seek(clip, secondsAt(clip, stage, event)));
    const slider = el("input", {
      type: "range", class: "seek", min: clip.start, max: clip.stop, step: 0.01, value: clip.start,
      "aria-label": `Position in ${clip.name}, seconds`,
      oninput: (event) => seek(clip, Number(event.target.value)),
    });
    auscult.cursor(clip, stage, (mine, position) => {
      press(button, mine);
      if (mine) slider.value = position;
    });
    return el("div", { class: "strip" }, headOf(clip, button, slider), stage, timeTicks(clip));
  };

  // A strip whose position can be moved without a sound: by dragging, by the slider, by its keys. While the clip plays, the position is the sound's.
  auscult.scrubStrip = (clip, extra, { step, onmove, spoken }) => {
    const stage = stageOf(clip, extra, false);
    const line = el("span", { class: "cursor" });
    stage.append(line);
    const plays = () => auscult.player.clip === clip;
    let at = clip.start;
    const slider = el("input", { type: "range", class: "scrub", min: clip.start, max: clip.stop, step, value: at, "aria-label": `Position in ${clip.name}, seconds` });
    const move = (seconds) => {
      at = Math.min(Math.max(seconds, clip.start), clip.stop);
      line.style.left = place(clip, at);
      slider.value = at;
      onmove(at);
    };
    const go = (seconds) => (plays() ? seek(clip, seconds) : settle(seconds));
    const settle = (seconds) => {
      move(seconds);
      slider.setAttribute("aria-valuetext", spoken(at));
    };
    const toggle = () => (plays() ? auscult.player.stop() : auscult.player.play(clip, at < clip.stop - 0.05 ? at : clip.start));
    const button = playButton(clip, toggle);
    slider.addEventListener("input", () => go(Number(slider.value)));
    slider.addEventListener("keydown", (event) => {
      if (event.key !== " ") return;
      event.preventDefault();
      toggle();
    });
    // A drag looks; a press without one plays from there, as on every other strip.
    let dragged = null;
    stage.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      dragged = { from: event.clientX, moved: false };
      stage.setPointerCapture(event.pointerId);
    });
    stage.addEventListener("pointermove", (event) => {
      if (!dragged || (!dragged.moved && Math.abs(event.clientX - dragged.from) < 4)) return;
      if (!dragged.moved && plays()) auscult.player.stop();
      dragged.moved = true;
      settle(secondsAt(clip, stage, event));
    });
    stage.addEventListener("pointerup", (event) => {
      if (dragged && !dragged.moved) seek(clip, secondsAt(clip, stage, event));
      dragged = null;
    });
    stage.addEventListener("pointercancel", () => (dragged = null));
    let sounding = false;
    auscult.player.listen((player) => {
      const mine = plays();
      press(button, mine);
      if (mine && !player.loading) move(player.position);
      // After the end, or a stop, the position stays where the sound left it.
      if (sounding && !mine) slider.setAttribute("aria-valuetext", spoken(at));
      sounding = mine;
    }, stage);
    settle(at);
    return { root: el("div", { class: "strip" }, headOf(clip, button), stage, timeTicks(clip), slider), go };
  };

  auscult.draw.Clip = (block, host) => host.append(auscult.strip(block));
})();
