"use strict";
// A browser over many items: sorted, filtered, a page at a time; cards are loaded when they come near the screen.
(() => {
  const { el, number } = auscult;
  const SIZES = [6, 12, 24, 48];

  const valueOf = (gallery, name, i) => gallery.measures.find((one) => one.name === name)?.values[i] ?? null;

  const measured = (value, unit) => (value === null ? "–" : `${number(value)} ${unit}`.trim());

  // Which items pass, in order. Missing values come last either way.
  auscult.arrange = (gallery, wanted) => {
    const words = wanted.search.toLowerCase().split(/\s+/).filter(Boolean);
    const range = gallery.measures.find((one) => one.name === wanted.measure)?.values;
    const usage = gallery.measures.find((one) => one.name === "usage")?.values;
    const passes = (i) =>
      words.every((word) => gallery.search[i].includes(word)) &&
      (!range || ((wanted.min === null || range[i] >= wanted.min) && (wanted.max === null || (range[i] !== null && range[i] <= wanted.max)))) &&
      !(wanted.alive && usage && !(usage[i] > 0));
    const key = gallery.measures.find((one) => one.name === wanted.sort)?.values ?? gallery.names;
    const sign = wanted.down ? -1 : 1;
    const compare = (a, b) => {
      if ((key[a] === null) !== (key[b] === null)) return key[a] === null ? 1 : -1;
      if (typeof key[a] === "string") return sign * key[a].localeCompare(key[b], "en", { numeric: true });
      return sign * (key[a] - key[b]) || a - b;
    };
    return gallery.names.map((_, i) => i).filter(passes).sort(compare);
  };

  auscult.draw.Gallery = (gallery, host) => new Browser(gallery, host).start();

  class Browser {
    constructor(gallery, host) {
      this.gallery = gallery;
      this.host = host;
      this.page = 0;
      this.size = 6;
      const names = gallery.measures.map((one) => one.name);
      this.wanted = {
        search: "", sort: names.includes(gallery.sort_by) ? gallery.sort_by : names[0] ?? "", down: true,
        measure: names.includes("usage") ? "usage" : names[0] ?? "", min: null, max: null, alive: false,
      };
    }

    start() {
      this.cards = el("div", { class: "cards" });
      this.count = el("p", { class: "count", role: "status" });
      this.rank = el("canvas", { class: "rank", height: 56, "aria-hidden": "true" });
      this.rankName = el("p", { class: "rank-name", "aria-hidden": "true" });
      this.pagers = [this.pager(), this.pager()];
      this.host.append(this.toolbar(), this.rankName, this.rank, this.pagers[0], this.cards, this.pagers[1]);
      this.rank.addEventListener("click", (event) => {
        const at = Math.floor((event.offsetX / this.rank.clientWidth) * this.order.length);
        this.show(Math.floor(at / this.size));
        this.focus(at % this.size);
      });
      this.host.addEventListener("keydown", (event) => this.key(event));
      document.addEventListener("keydown", (event) => this.slash(event));
      new ResizeObserver(() => this.drawRank()).observe(this.rank);
      matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.drawRank());
      window.addEventListener("hashchange", () => this.jump());
      this.arrange();
      this.jump();
    }

    toolbar() {
      const { wanted, gallery } = this;
      const change = (key, read) => (event) => {
        wanted[key] = read(event.target);
        this.arrange();
      };
      const text = (target) => target.value;
      const amount = (target) => (target.value.trim() === "" || Number.isNaN(Number(target.value)) ? null : Number(target.value));
      const options = (chosen) => gallery.measures.map(({ name, label, unit }) => el("option", { value: name, selected: name === chosen }, unit ? `${label} (${unit})` : label));
      this.search = el("input", { type: "search", placeholder: "Name or label", oninput: change("search", text) });
      const direction = el("button", { type: "button", class: "direction", "aria-label": "Descending", onclick: () => {
        wanted.down = !wanted.down;
        direction.textContent = wanted.down ? "↓" : "↑";
        direction.setAttribute("aria-label", wanted.down ? "Descending" : "Ascending");
        this.arrange();
      } }, "↓");
      const field = (label, ...inner) => el("label", { class: "field" }, el("span", {}, label), ...inner);
      const limit = (key, label) => el("input", { type: "text", inputmode: "decimal", size: 6, placeholder: label, "aria-label": `${label} of the chosen measure`, oninput: change(key, amount) });
      const alive = gallery.measures.some((one) => one.name === "usage" && one.values.some((value) => !(value > 0)));
      return el("form", { class: "toolbar", "aria-label": `Sort and filter: ${gallery.title}`, onsubmit: (event) => event.preventDefault() },
        field("Search", this.search),
        el("div", { class: "field" }, el("label", {}, el("span", {}, "Sort by"), el("select", { class: "sort-by", onchange: change("sort", text) }, options(wanted.sort), el("option", { value: "" }, "name"))), direction),
        gallery.measures.length ? el("div", { class: "field" }, el("label", {}, el("span", {}, "Keep"), el("select", { class: "keep", onchange: change("measure", text) }, options(wanted.measure))), limit("min", "min"), limit("max", "max")) : null,
        alive ? el("label", { class: "check" }, el("input", { type: "checkbox", class: "alive", onchange: change("alive", (target) => target.checked) }), "Hide dead") : null,
        field("Cards", el("select", { class: "size", onchange: (event) => {
          this.size = Number(event.target.value);
          this.show(0);
        } }, SIZES.map((size) => el("option", { value: size, selected: size === this.size }, String(size))))),
        this.count,
        el("p", { class: "keys" }, el("kbd", {}, "/"), " search ", el("kbd", {}, "↑"), el("kbd", {}, "↓"), " cards ", el("kbd", {}, "←"), el("kbd", {}, "→"), " fragments ", el("kbd", {}, "Enter"), " plays ", el("kbd", {}, "Esc"), " stops"));
    }

    pager() {
      const step = (by) => () => {
        this.show(this.page + by);
        this.host.scrollIntoView({ behavior: auscult.calm() ? "auto" : "smooth", block: "start" });
      };
      const root = el("nav", { class: "pager", "aria-label": "Cards" },
        el("button", { type: "button", class: "before", onclick: step(-1) }, "← Before"),
        el("span", {}), el("button", { type: "button", class: "after", onclick: step(1) }, "After →"));
      return root;
    }

    get pages() {
      return Math.max(1, Math.ceil(this.order.length / this.size));
    }

    arrange() {
      this.order = auscult.arrange(this.gallery, this.wanted);
      const all = this.gallery.names.length;
      this.count.textContent = this.order.length === all ? `${all} items` : `${this.order.length} of ${all} items`;
      this.show(0);
    }

    show(page) {
      this.page = Math.min(Math.max(page, 0), this.pages - 1);
      if (auscult.player.clip && this.cards.querySelector('[aria-pressed="true"]')) auscult.player.stop();
      auscult.player.forget(this.cards);
      const first = this.page * this.size;
      this.cards.replaceChildren(...this.order.slice(first, first + this.size).map((i, place) => this.card(i, first + place)));
      if (!this.order.length) this.cards.append(el("p", { class: "nothing" }, "Nothing passes these filters."));
      for (const pager of this.pagers) {
        pager.hidden = this.pages < 2;
        const [before, where, after] = pager.children;
        where.textContent = `${first + 1}–${Math.min(first + this.size, this.order.length)} of ${this.order.length}`;
        before.disabled = this.page === 0;
        after.disabled = this.page === this.pages - 1;
      }
      this.drawRank();
    }

    card(i, rank) {
      const { gallery, wanted } = this;
      const measures = gallery.measures.map(({ name, label, unit }) =>
        el("div", { class: name === wanted.sort ? "chosen" : null }, el("dt", {}, label), el("dd", {}, measured(valueOf(gallery, name, i), unit))));
      const id = `${gallery.key}=${i}`;
      const body = el("div", { class: "card-body" });
      const card = el("article", { class: "card", id, tabindex: rank === this.page * this.size ? "0" : "-1", "aria-labelledby": `${id}-name` },
        el("header", {}, el("h3", { id: `${id}-name` }, el("a", { href: `#${id}`, title: "Link to this card" }, el("bdi", {}, gallery.names[i]))), el("dl", { class: "measures" }, measures)),
        body);
      auscult.whenSeen(card, () => this.fill(i, body));
      return card;
    }

    async fill(i, body) {
      const { key, per_file: size } = this.gallery;
      const file = Math.floor(i / size);
      try {
        const items = await auscult.load(`${key}:${file}`, `data/${key}-${file}.js`);
        if (!body.childElementCount) items[i % size].forEach((block) => auscult.show(block, body, { compact: true, owner: this.gallery.names[i] }));
      } catch (error) {
        body.append(el("p", { class: "missing" }, error.message));
      }
    }

    // The whole order at a glance: one line an item, the page at hand in colour.
    drawRank() {
      const { rank, order, wanted } = this;
      const values = order.map((i) => valueOf(this.gallery, wanted.sort, i));
      const [low, high] = auscult.extent(values);
      const shown = Number.isFinite(low) && order.length > 1;
      rank.hidden = this.rankName.hidden = !shown;
      if (!shown || !rank.clientWidth) return;
      const style = getComputedStyle(this.host);
      const ratio = window.devicePixelRatio || 1;
      const [width, height] = [rank.clientWidth * ratio, 56 * ratio];
      Object.assign(rank, { width, height });
      const brush = rank.getContext("2d");
      const [least] = auscult.extent(values.filter((value) => value > 0));
      const log = low >= 0 && high / least > 100;
      const scale = log ? auscult.scale({ scale: "log" }, [least / 1.3, high]) : auscult.scale({ scale: "linear" }, [low, high], { zero: true });
      const step = width / order.length;
      const ground = scale.log ? 0 : scale.share(0);
      values.forEach((value, at) => {
        if (value === null || (log && !(value > 0))) return;
        const here = at >= this.page * this.size && at < (this.page + 1) * this.size;
        brush.fillStyle = style.getPropertyValue(here ? "--accent" : "--quiet");
        const [from, to] = [ground, scale.share(value)].sort((a, b) => a - b);
        const tall = Math.max((to - from) * (height - 2), ratio);
        brush.fillRect(at * step, height - 1 - to * (height - 2), Math.max(step - (step > 3 * ratio ? ratio : 0), 0.7), tall);
      });
      const { unit, label } = this.gallery.measures.find((one) => one.name === wanted.sort);
      this.rankName.textContent = `${label}${scale.log ? ", logarithmic" : ""}: ${number(low)} to ${number(high)} ${unit} over ${order.length} items; press to go there`.replace("  ", " ");
    }

    focus(place) {
      const card = this.cards.children[place];
      if (!card?.classList.contains("card")) return;
      for (const other of this.cards.children) other.tabIndex = other === card ? 0 : -1;
      card.focus({ preventScroll: true });
      card.scrollIntoView({ block: "nearest", behavior: auscult.calm() ? "auto" : "smooth" });
    }

    // Arrows walk through cards and their fragments; the page itself keeps its own keys elsewhere.
    key(event) {
      const card = event.target.closest(".card");
      if (!card || event.target.closest("input, select, textarea") || event.altKey || event.ctrlKey || event.metaKey) return;
      const at = [...this.cards.children].indexOf(card);
      const plays = [...card.querySelectorAll(".tile-play, .strip-play")];
      const now = plays.indexOf(event.target);
      const go = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1 }[event.key];
      if (go) this.move(at + go);
      else if (event.key === "ArrowRight") plays[Math.min(now + 1, plays.length - 1)]?.focus();
      else if (event.key === "ArrowLeft") (plays[now - 1] ?? card).focus();
      else if (event.key === "Enter" && event.target === card) plays[0]?.click();
      else return;
      event.preventDefault();
    }

    move(at) {
      if (at >= 0 && at < this.cards.children.length) return this.focus(at);
      if (at < 0 && this.page > 0) {
        this.show(this.page - 1);
        this.focus(this.size - 1);
      } else if (at > 0 && this.page < this.pages - 1) {
        this.show(this.page + 1);
        this.focus(0);
      }
    }

    slash(event) {
      if (event.key !== "/" || event.target.closest("input, select, textarea")) return;
      // Of several galleries on a page, the first that is not above the screen.
      const all = [...document.querySelectorAll(".figure-gallery")];
      const near = all.find((one) => one.getBoundingClientRect().bottom > 120) ?? all.at(-1);
      if (near && !near.contains(this.host)) return;
      event.preventDefault();
      this.search.focus();
      this.search.select();
    }

    jump() {
      const [key, i] = decodeURIComponent(location.hash.slice(1)).split("=");
      if (key !== this.gallery.key || !(Number(i) < this.gallery.names.length)) return;
      const at = this.order.indexOf(Number(i));
      if (at < 0) return;
      this.show(Math.floor(at / this.size));
      this.focus(at % this.size);
    }
  }
})();
