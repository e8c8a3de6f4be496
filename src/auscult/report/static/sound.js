"use strict";
// One player for the page: sample-accurate excerpts at equal loudness, with 5-ms fades.
(() => {
  const FADE_S = 0.005;
  const MOST_BUFFERS = 24;
  // A decoder that ignores the encoder's delay leaves this many samples before the sound (576 + 529).
  const CODEC_DELAY = 1105;
  const buffers = new Map();
  const listeners = new Map();
  let context = null;
  let source = null;
  let turn = 0;

  const player = (auscult.player = { clip: null, position: 0, loading: false, loop: false, equal: true, trouble: "" });

  // Listeners belong to elements; those of what leaves the page are forgotten with it.
  player.listen = (listener, element = document.body) => listeners.set(listener, element);
  player.forget = (root) => {
    for (const [listener, element] of listeners) if (root.contains(element)) listeners.delete(listener);
  };
  const tell = () => listeners.forEach((_, listener) => listener(player));

  player.prefetch = (clip) => auscult.load(`audio:${clip.stem}`, `clips/${clip.stem}.audio.js`);

  const decoded = async (clip) => {
    if (!buffers.has(clip.stem)) {
      const coded = await player.prefetch(clip);
      const buffer = await context.decodeAudioData(auscult.bytes(coded).buffer);
      buffers.set(clip.stem, buffer);
      if (buffers.size > MOST_BUFFERS) buffers.delete(buffers.keys().next().value);
    }
    return buffers.get(clip.stem);
  };

  // Play a clip from `from` (seconds of the clip) to its end.
  player.play = async (clip, from = clip.start) => {
    player.stop();
    const mine = ++turn;
    Object.assign(player, { clip, position: from, loading: true, trouble: "" });
    tell();
    try {
      context ??= new AudioContext();
      await context.resume();
      const buffer = await decoded(clip);
      if (mine === turn) start(clip, buffer, from);
    } catch (error) {
      if (mine !== turn) return;
      Object.assign(player, { clip: null, loading: false, trouble: `This sound cannot be played: ${error.message}` });
      tell();
    }
  };

  const start = (clip, buffer, from) => {
    const shift = buffer.duration - clip.duration > 0.012 ? CODEC_DELAY / clip.rate : 0;
    const length = Math.max(clip.stop - from, 2 * FADE_S);
    const level = player.equal ? 10 ** (clip.gain / 20) : 1;
    const volume = context.createGain();
    const began = context.currentTime + 0.01;
    volume.gain.setValueAtTime(0, began);
    volume.gain.linearRampToValueAtTime(level, began + FADE_S);
    volume.gain.setValueAtTime(level, began + length - FADE_S);
    volume.gain.linearRampToValueAtTime(0, began + length);
    const playing = (source = context.createBufferSource());
    playing.buffer = buffer;
    playing.volume = volume;
    playing.connect(volume).connect(context.destination);
    playing.start(began, from + shift, length);
    playing.onended = () => {
      if (source !== playing) return;
      if (player.loop) player.play(clip);
      else player.stop();
    };
    player.loading = false;
    player.starts = (player.starts ?? 0) + 1;
    player.context = context;
    follow(playing, began, from);
  };

  const follow = (playing, began, from) => {
    const late = context.outputLatency || context.baseLatency || 0;
    const step = () => {
      if (source !== playing) return;
      player.position = Math.min(Math.max(from, from + context.currentTime - began - late), player.clip.stop);
      tell();
      requestAnimationFrame(step);
    };
    step();
  };

  player.stop = () => {
    turn += 1;
    if (source) {
      const ended = source;
      source = null;
      const now = context.currentTime;
      ended.volume.gain.cancelScheduledValues(now);
      ended.volume.gain.setTargetAtTime(0, now, FADE_S / 3);
      ended.stop(now + 2 * FADE_S);
    }
    if (player.clip) {
      Object.assign(player, { clip: null, loading: false });
      tell();
    }
  };

  player.toggle = (clip) => (player.clip === clip ? player.stop() : player.play(clip));

  // The bar at the foot of the page: what plays, how loud, and again and again if asked.
  const bar = () => {
    const { el } = auscult;
    const name = el("span", { class: "bar-name" });
    const meta = el("span", { class: "bar-meta" });
    const done = el("span", { class: "bar-done" });
    let last = null;
    const again = () => last && (player.clip ? player.stop() : player.play(last));
    const main = el("button", { type: "button", class: "bar-main", onclick: again });
    const toggle = (key, label, title) => {
      const button = el("button", { type: "button", class: "bar-toggle", title, "aria-pressed": String(player[key]) }, label);
      button.addEventListener("click", () => {
        player[key] = !player[key];
        button.setAttribute("aria-pressed", player[key]);
        if (player.clip && key === "equal") player.play(player.clip, player.position);
        tell();
      });
      return button;
    };
    const root = el(
      "section",
      { class: "bar", "aria-label": "Player", hidden: true },
      el("span", { class: "bar-track", "aria-hidden": "true" }, done),
      main,
      el("span", { class: "bar-text" }, name, meta),
      toggle("loop", "Loop", "Play the excerpt again and again (L)"),
      toggle("equal", "Equal loudness", "Bring every excerpt to −23 LUFS; off: as recorded"),
    );
    document.body.append(root);
    player.listen(() => {
      last = player.clip ?? last;
      if (last || player.trouble) root.hidden = false;
      document.body.classList.toggle("with-bar", !root.hidden);
      main.dataset.state = player.clip ? "playing" : "still";
      main.setAttribute("aria-label", player.clip ? "Stop" : "Play again");
      if (player.trouble) return void Object.assign(name, { textContent: player.trouble });
      if (!last) return;
      const share = player.clip ? (player.position - last.start) / (last.stop - last.start) : 0;
      done.style.transform = `scaleX(${share})`;
      name.textContent = last.label;
      const level = player.equal ? `${auscult.decibels(last.gain)} to −23 LUFS${last.limited ? ", held at −1 dBFS peak" : ""}` : "as recorded";
      meta.textContent = `${last.name} · ${auscult.seconds(last.start)}–${auscult.seconds(last.stop)} s · ${level}`;
    });
    return root;
  };
  player.bar = bar();

  document.addEventListener("keydown", (event) => {
    if (event.target.closest("input, select, textarea, audio, dialog")) return;
    if (event.key === "Escape" && player.clip) player.stop();
    if (event.key === "l" && !event.ctrlKey && !event.metaKey && !event.altKey && !player.bar.hidden) {
      player.bar.querySelector(".bar-toggle").click();
    }
  });
})();
