"use strict";
// What leads to what: nodes on a circle, arrows as wide as their weights, and the same as a table.
(() => {
  const { el, svg, array, number } = auscult;
  const RADIUS = 220;
  const [ACROSS, UP] = [RADIUS + 180, RADIUS + 74];
  const [LEAST, MOST, LOOP] = [0.7, 8, 5];

  const told = (value, axis) => `${number(Number(value.toPrecision(4)))}${axis.unit ? ` ${axis.unit}` : ""}`;
  const share = (value) => (value >= 0 && value <= 1 ? `${number(Number((100 * value).toPrecision(3)))} %` : number(Number(value.toPrecision(4))));

  // From the rim of one node to the rim of another, bent to the right so that both ways can be seen; a loop outside for itself.
  const course = (a, b, width) => {
    const head = 4 + 1.6 * width;
    if (a === b) {
      const turn = (angle) => [a.ux * Math.cos(angle) - a.uy * Math.sin(angle), a.ux * Math.sin(angle) + a.uy * Math.cos(angle)];
      const at = ([x, y], distance) => [a.x + x * distance, a.y + y * distance];
      const [out, back] = [turn(-0.7), turn(0.7)];
      const far = 1.3 * (a.r + 34);
      const control = at(back, far);
      return { d: `M${at(out, a.r).join(" ")}C${at(out, far).join(" ")} ${control.join(" ")} ${at(back, a.r + head).join(" ")}`, tip: at(back, a.r + 1), from: control, head };
    }
    const [dx, dy] = [b.x - a.x, b.y - a.y];
    const control = [(a.x + b.x) / 2 - 0.16 * dy - 0.12 * ((a.x + b.x) / 2), (a.y + b.y) / 2 + 0.16 * dx - 0.12 * ((a.y + b.y) / 2)];
    const toward = (node, distance) => {
      const [x, y] = [control[0] - node.x, control[1] - node.y];
      const length = Math.hypot(x, y) || 1;
      return [node.x + (x / length) * distance, node.y + (y / length) * distance];
    };
    const [start, end, tip] = [toward(a, a.r + 1), toward(b, b.r + head), toward(b, b.r + 1)];
    return { d: `M${start.join(" ")}Q${control.join(" ")} ${end.join(" ")}`, tip, from: control, head };
  };
  const arrowhead = ({ tip, from, head }, width) => {
    const [x, y] = [tip[0] - from[0], tip[1] - from[1]];
    const length = Math.hypot(x, y) || 1;
    const [ux, uy] = [x / length, y / length];
    const half = 2 + 0.75 * width;
    const base = [tip[0] - ux * head, tip[1] - uy * head];
    return `M${tip[0].toFixed(1)} ${tip[1].toFixed(1)}L${(base[0] - uy * half).toFixed(1)} ${(base[1] + ux * half).toFixed(1)}L${(base[0] + uy * half).toFixed(1)} ${(base[1] - ux * half).toFixed(1)}Z`;
  };

  const nodesOf = (block) => {
    const places = array(block.places);
    const sizes = array(block.sizes);
    const largest = Math.max(auscult.extent(sizes)[1], 1e-12);
    return block.nodes.map((name, i) => {
      const [ux, uy] = [places[2 * i], places[2 * i + 1]];
      return { name, size: sizes[i], ux, uy, x: ux * RADIUS, y: uy * RADIUS, r: 3.5 + 13 * Math.sqrt(Math.max(sizes[i] || 0, 0) / largest), loop: false, i };
    });
  };
  const linksOf = (block, nodes) => {
    const [sources, targets, weights] = [array(block.sources), array(block.targets), array(block.weights)];
    const most = Math.max(auscult.extent(weights)[1], 1e-12);
    return Array.from(weights, (weight, i) => {
      const [a, b] = [nodes[sources[i]], nodes[targets[i]]];
      if (a === b) a.loop = true;
      const width = LEAST + ((a === b ? LOOP : MOST) - LEAST) * Math.max(weight / most, 0);
      return { a, b, weight, width, course: course(a, b, width) };
    });
  };

  const label = (node) => {
    const out = RADIUS + node.r + (node.loop ? 44 : 8);
    const [x, y] = [node.ux * out, node.uy * out];
    const anchor = Math.abs(node.ux) < 0.25 ? "middle" : node.ux > 0 ? "start" : "end";
    const shift = 4 + 7 * (Math.abs(node.ux) < 0.25 ? node.uy : 0);
    const name = node.name.length > 18 ? `${node.name.slice(0, 17)}…` : node.name;
    return svg("text", { x: x.toFixed(1), y: (y + shift).toFixed(1), "text-anchor": anchor }, name);
  };

  const table = (block, links) => {
    const head = ["from", "to", block.value_axis.label].map((name, i) => el("th", { scope: "col", class: i === 2 ? "num" : null }, name));
    const rows = links.map((one) => el("tr", {}, el("td", {}, el("bdi", {}, one.a.name)), el("td", {}, el("bdi", {}, one.b.name)), el("td", { class: "num", "data-value": one.weight }, number(Number(one.weight.toPrecision(4))))));
    const whole = el("table", { class: "sortable" }, el("thead", {}, el("tr", {}, head)), el("tbody", {}, rows));
    auscult.sortable(whole);
    return el("details", { class: "graph-table" }, el("summary", {}, `The same ${links.length} links as a table`), el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `Links of ${block.title}` }, whole));
  };

  auscult.draw.Graph = (block, host) => {
    const nodes = nodesOf(block);
    if (!nodes.length) return void host.append(el("p", { class: "no-values" }, "No values: the graph has no nodes."));
    const links = linksOf(block, nodes);
    const root = svg("svg", { class: "graph", viewBox: `${-ACROSS} ${-UP} ${2 * ACROSS} ${2 * UP}`, tabindex: "0", role: "group", "aria-label": `${block.title}: ${nodes.length} nodes, ${links.length} links. Arrow keys go from node to node; a table follows.` });
    for (const one of [...links].sort((p, q) => p.weight - q.weight)) {
      one.path = svg("path", { class: "link", d: one.course.d, "stroke-width": one.width.toFixed(2) });
      one.arrow = svg("path", { class: "arrow", d: arrowhead(one.course, one.width) });
      root.append(one.path, one.arrow);
    }
    for (const node of nodes) {
      node.mark = svg("g", { class: "node" }, svg("circle", { cx: node.x.toFixed(1), cy: node.y.toFixed(1), r: node.r.toFixed(1) }), label(node));
      root.append(node.mark);
    }
    const now = el("p", { class: "now", role: "status" });
    const plain = `Width of an arrow: ${block.value_axis.label}. Size of a node: its share.`;
    now.textContent = plain;

    const light = (node, chosen) => {
      root.classList.toggle("chosen", Boolean(node || chosen));
      for (const one of links) {
        const [out, into] = [chosen ? one === chosen : node === one.a, !chosen && node === one.b && one.a !== one.b];
        for (const part of [one.path, one.arrow]) {
          part.classList.toggle("lit", out || into);
          part.classList.toggle("in", into);
        }
      }
      for (const other of nodes) {
        const near = chosen ? other === chosen.a || other === chosen.b : node && (other === node || links.some((one) => (one.a === node && one.b === other) || (one.b === node && one.a === other)));
        other.mark.classList.toggle("lit", Boolean(near));
        other.mark.classList.toggle("here", other === node);
      }
    };
    const strongest = (node) => links.filter((one) => one.a === node).sort((p, q) => q.weight - p.weight).slice(0, 3);
    const words = (node) => {
      const to = strongest(node).map((one) => `to ${one.b === node ? "itself" : one.b.name} ${told(one.weight, block.value_axis)}`);
      return [`${node.name}: ${share(node.size)}`, ...(to.length ? to : ["leads nowhere"])];
    };
    const order = [...nodes].sort((p, q) => Math.atan2(p.ux, -p.uy) - Math.atan2(q.ux, -q.uy));
    const first = order.findIndex((node) => Math.abs(node.ux) < 1e-9 && node.uy < 0);
    let at = -1;
    const choose = (place) => {
      at = (place + order.length) % order.length;
      light(order[at]);
      now.textContent = words(order[at]).join("; ");
    };
    const rest = () => {
      at = -1;
      light(null);
      now.textContent = plain;
    };
    root.addEventListener("keydown", (event) => {
      const go = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (go) choose(at < 0 ? Math.max(first, 0) : at + go);
      else if (event.key === "Escape") rest();
      else return;
      event.preventDefault();
    });
    root.addEventListener("blur", rest);
    host.append(el("div", { class: "graph-figure" }, root, now, table(block, links)));
    hovering(host, root, nodes, links, block, { light, words });
  };

  // The node under the pointer, or else the link.
  const hovering = (host, root, nodes, links, block, { light, words }) => {
    const parts = new Map();
    nodes.forEach((node) => node.mark.querySelectorAll("*").forEach((part) => parts.set(part, { node })));
    links.forEach((link) => [link.path, link.arrow].forEach((part) => parts.set(part, { link })));
    let under = null;
    root.addEventListener("pointerover", (event) => (under = parts.get(event.target) ?? null));
    auscult.hover(host, root, (at) => {
      if (!at || !under) {
        if (document.activeElement !== root) light(null);
        return null;
      }
      light(under.node ?? null, under.link);
      return under.node ? words(under.node) : [`${under.link.a.name} → ${under.link.b.name}`, told(under.link.weight, block.value_axis)];
    });
  };
})();
