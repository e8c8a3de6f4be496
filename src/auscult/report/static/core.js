"use strict";
// What every other script stands on: data that arrives in script files, elements, numbers, colours.
// Classic scripts, because browsers refuse modules and fetch on pages opened from the file system.
(() => {
  const arrived = new Map();
  const awaited = new Map();
  const auscult = (window.auscult = { draw: {} });

  // Data files call this.
  auscult.put = (key, value) => {
    arrived.set(key, value);
    awaited.get(key)?.resolve(value);
    awaited.delete(key);
  };

  // Load a data file once and wait for what it puts.
  auscult.load = (key, href) => {
    if (arrived.has(key)) return Promise.resolve(arrived.get(key));
    if (awaited.has(key)) return awaited.get(key).promise;
    const entry = {};
    entry.promise = new Promise((resolve, reject) => Object.assign(entry, { resolve, reject }));
    awaited.set(key, entry);
    auscult.script(href).catch(() => {
      awaited.delete(key);
      entry.reject(new Error(`${href} could not be read`));
    });
    return entry.promise;
  };

  auscult.script = (href) =>
    new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.src = href;
      script.onload = resolve;
      script.onerror = reject;
      document.head.append(script);
    });

  // Text always goes in as text, never as HTML.
  const build = (node, attributes, children) => {
    for (const [name, value] of Object.entries(attributes ?? {})) {
      if (value === null || value === undefined || value === false) continue;
      if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
      else if (name === "style") for (const [key, one] of Object.entries(value)) node.style.setProperty(key, one);
      else node.setAttribute(name, value === true ? "" : value);
    }
    node.append(...children.flat().filter((child) => child !== null && child !== undefined));
    return node;
  };
  auscult.el = (tag, attributes, ...children) => build(document.createElement(tag), attributes, children);
  auscult.svg = (tag, attributes, ...children) =>
    build(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);

  // Arrays come as lists, or as base64 of 32-bit floats with a shape.
  auscult.array = (packed) => {
    if (!packed) return null;
    if (Array.isArray(packed)) return packed.map((value) => (value === null ? NaN : value));
    if (!packed.decoded) packed.decoded = new Float32Array(auscult.bytes(packed.f32).buffer);
    return packed.decoded;
  };
  auscult.shape = (packed) => (Array.isArray(packed) ? [packed.length] : packed.shape);
  auscult.bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));

  const raised = (exponent) => String(exponent).replace(/./g, (d) => (d === "-" ? "⁻" : "⁰¹²³⁴⁵⁶⁷⁸⁹"[d]));
  auscult.tenTo = (exponent) => `10${raised(exponent)}`;
  auscult.number = (value) => {
    if (value === null || value === undefined || Number.isNaN(value)) return "–";
    if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
    const size = Math.abs(value);
    if (Number.isInteger(value) && size < 1e9) return value.toLocaleString("en").replace("-", "−");
    if (size < 1e-3 || size >= 1e6) {
      const [mantissa, exponent] = value.toExponential(2).split("e");
      return `${mantissa.replace("-", "−")} × ${auscult.tenTo(Number(exponent))}`;
    }
    const digits = Math.max(0, 3 - Math.floor(Math.log10(size)));
    const options = { maximumFractionDigits: digits };
    return value.toLocaleString("en", options).replace("-", "−");
  };
  auscult.seconds = (value) => (value !== 0 && Math.abs(value) < 0.1 ? value.toFixed(3) : value.toFixed(2));
  auscult.decibels = (value) => `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(1)} dB`;

  // Colour maps: tables of 256 colours, as a function of a share in [0, 1].
  let tables = null;
  auscult.colours = async () => {
    if (!tables) {
      const told = await auscult.load("colours", "assets/colours.js");
      tables = Object.fromEntries(
        Object.entries(told).map(([name, hex]) => [name, Uint8Array.from(hex.match(/../g), (two) => parseInt(two, 16))]),
      );
    }
    return tables;
  };
  auscult.gradient = (table) => {
    const stops = Array.from({ length: 17 }, (_, i) => {
      const at = 3 * Math.round((i * 255) / 16);
      return `rgb(${table[at]} ${table[at + 1]} ${table[at + 2]})`;
    });
    return `linear-gradient(90deg, ${stops.join(",")})`;
  };

  auscult.extent = (values, extent = [Infinity, -Infinity]) => {
    for (const value of values ?? []) {
      if (!Number.isFinite(value)) continue;
      if (value < extent[0]) extent[0] = value;
      if (value > extent[1]) extent[1] = value;
    }
    return extent;
  };

  // Call once when an element comes near the screen; everything still waiting is called before printing.
  const unseen = new Map();
  const observer = new IntersectionObserver(
    (entries) => entries.filter((entry) => entry.isIntersecting).forEach((entry) => call(entry.target)),
    { rootMargin: "900px" },
  );
  const call = (element) => {
    observer.unobserve(element);
    const act = unseen.get(element);
    unseen.delete(element);
    act?.();
  };
  auscult.whenSeen = (element, act) => {
    unseen.set(element, act);
    observer.observe(element);
  };
  auscult.seeAll = () => {
    // What is drawn may bring more that waits.
    for (let pass = 0; pass < 3 && unseen.size; pass++) [...unseen.keys()].forEach(call);
  };
  window.addEventListener("beforeprint", auscult.seeAll);

  auscult.calm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;
})();
