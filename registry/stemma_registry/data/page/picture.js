// The drawing: SVG, moved and scaled as one; labels thinned to what there is room for.

const make = (name, attributes = {}, ...children) => {
  const svg = ["svg", "g", "path", "rect", "text", "title", "defs", "marker", "circle"];
  const element = svg.includes(name)
    ? document.createElementNS("http://www.w3.org/2000/svg", name)
    : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== null && value !== false) element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
};
const byId = (name) => document.getElementById(name);

const STOP = "M-4 -9h8l5 5v8l-5 5h-8l-5 -5v-8z M-5 0h10"; // an octagon with a bar
const RUNS = "M0 -9l9 16h-18z"; // a triangle
const FAR = 0.5; // scales below this show labels beside the nodes, as many as there is room for
const LABELS = 45;
const LETTER = 7.6; // as wide as letters get

const world = make("g");
const lines = make("g", { class: "lines" });
const above = make("g", { class: "lines" });
const boxes = make("g", { class: "boxes" });
const marks = make("g", { class: "marks" }); // above the labels too: nothing hides a stop
const overlay = make("g", { class: "labels" });
const svg = make("svg", {
  id: "graph",
  tabindex: "0",
  role: "application",
  "aria-label": "Graph. Arrow keys go from node to node; the list beside it has the same.",
});
const view = { k: 1, x: 0, y: 0 };
const shapes = { nodes: [], pairs: [], marks: [] };

const drawPair = (pair) => {
  const path = make("path", { d: pair.line });
  shapes.pairs.push(path);
  lines.append(path);
};

const states = (node) =>
  [
    (node.marks ?? []).join(", ").toUpperCase(),
    node.erased.length ? "ERASED" : "",
    node.hosts ? `on ${plural(node.hosts, "host")}` : "",
    !node.hosts && node.deployed.length ? "said to run" : "",
  ].filter(Boolean);

const drawNode = (node, i) => {
  const group = make("g", { transform: `translate(${node.x} ${node.y})`, "data-node": i });
  group.append(
    make("title", {}, `${node.label}\n${[kindOf(node), ...states(node)].join(", ")}`),
    make("rect", { class: "box", width: WIDTH, height: HEIGHT, rx: 5 }),
    make("rect", { class: `stripe ${colour(kindOf(node))}`, width: 6, height: HEIGHT, rx: 2 }),
    make("text", { x: 14, y: 17, class: "name" }, shorten(node.label, 23)),
    make("text", { x: 14, y: 32, class: "kind" }, shorten([...states(node), kindOf(node)].join(" · "), 28)),
  );
  const kinds = [];
  if (node.quarantined) kinds.push(["stop", STOP]);
  if (node.hosts) kinds.push(["runs", RUNS]);
  const shown = kinds.length ? make("g", { "data-node": i }) : null;
  kinds.forEach(([name, shape], n) => {
    const mark = make("g", { transform: `translate(${node.x + WIDTH - 4 - 22 * n} ${node.y})` });
    mark.append(make("path", { class: `mark ${name}`, d: shape }));
    shown.append(mark);
  });
  if (shown) marks.append(shown);
  shapes.marks.push(shown);
  shapes.nodes.push(group);
  boxes.append(group);
};

const draw = () => {
  const arrow = make("marker", {
    ...{ id: "arrow", viewBox: "0 0 10 10", refX: 9, refY: 5, orient: "auto" },
    ...{ markerWidth: 9, markerHeight: 9, markerUnits: "userSpaceOnUse" },
  });
  arrow.append(make("path", { d: "M0 0L10 5L0 10z" }));
  svg.append(make("defs", {}, arrow), world, overlay, marks);
  world.append(lines, boxes, above);
  pairs.forEach(drawPair);
  nodes.forEach(drawNode);
  byId("drawing").prepend(svg);
};

// The classes of everything, after another choice or another selection.
const paint = (selected) => {
  const ways = selected === null ? null : waysTo(selected);
  const best = new Set(ways ? ways.best : []);
  const onBest = new Set(ways ? [selected, start, ...ways.best.map((i) => edges[i].near)] : []);
  const onWay = new Set(onBest);
  if (ways) ways.all.forEach((i) => onWay.add(edges[i].near));
  pairs.forEach((pair, p) => {
    const open = pair.edges.filter((i) => left.open[i]);
    const strongest = ASSURANCES.find((word) => open.some((i) => edges[i].assurance === word));
    const classes = ["line", strongest || "off"];
    if (!open.some((i) => edges[i].flows)) classes.push("dry");
    if (!(left.way[pair.near] && left.way[pair.far])) classes.push("off");
    if (open.some((i) => best.has(i))) classes.push("best");
    else if (ways && open.some((i) => ways.all.has(i))) classes.push("lit");
    else if (ways) classes.push("rest");
    shapes.pairs[p].setAttribute("class", classes.join(" "));
  });
  nodes.forEach((node, i) => {
    const classes = ["node"];
    if (i === start) classes.push("start");
    if (node.quarantined) classes.push("quarantined");
    if (node.hosts) classes.push("deployed");
    if (!left.way[i]) classes.push("off");
    else if (!left.shown[i]) classes.push("between");
    if (i === selected) classes.push("selected");
    else if (onBest.has(i)) classes.push("best");
    else if (ways && !onWay.has(i)) classes.push("rest");
    shapes.nodes[i].setAttribute("class", classes.join(" "));
    if (shapes.marks[i]) shapes.marks[i].setAttribute("class", classes.join(" "));
  });
  rank = labelOrder(selected, onBest);
  svg.classList.toggle("chosen", selected !== null);
  // The lit way lies above everything but the marks.
  lines.append(...above.childNodes);
  above.append(...shapes.pairs.filter((_, p) => pairs[p].edges.some((i) => best.has(i))));
  move();
};

// Who gets a label first where not all can have one.
let rank = [];
const labelOrder = (selected, onBest) => {
  const weight = (node, i) =>
    (i === selected ? 1e9 : 0) +
    (i === start ? 1e8 : 0) +
    (onBest.has(i) ? 1e7 : 0) +
    (left.shown[i] ? 1e6 : 0) +
    (node.quarantined ? 1e5 : 0) +
    (node.hosts ? 5e4 : 0) +
    away[i].length;
  const weights = nodes.map(weight);
  return nodes
    .map((_, i) => i)
    .filter((i) => left.way[i] && (selected === null || weights[i] >= 1e7))
    .sort((a, b) => weights[b] - weights[a] || a - b);
};

const label = () => {
  overlay.replaceChildren();
  if (view.k >= FAR) return;
  const { width, height } = svg.getBoundingClientRect();
  const taken = [];
  for (const i of rank) {
    if (taken.length >= LABELS) break;
    const node = nodes[i];
    const text = shorten(node.label, 24);
    const wide = Array.from(text).length * LETTER + 8;
    const x = Math.min(Math.max(view.x + (node.x + WIDTH / 2) * view.k, wide / 2), width - wide / 2);
    const y = view.y + (node.y + HEIGHT) * view.k + 10;
    const middle = view.x + (node.x + WIDTH / 2) * view.k;
    if (middle < 0 || middle > width || y < 12 || y > height - 4) continue;
    const box = [x - wide / 2, y - 8, x + wide / 2, y + 8];
    const meets = (o) => o[0] < box[2] + 6 && box[0] < o[2] + 6 && o[1] < box[3] + 8 && box[1] < o[3] + 8;
    if (taken.some(meets)) continue;
    taken.push(box);
    overlay.append(
      make("rect", { x: box[0], y: box[1], width: wide, height: 16, rx: 3 }),
      make("text", { x, y: y + 3 }, text),
    );
  }
};

let pending = 0;
const move = () => {
  if (pending) return;
  pending = requestAnimationFrame(() => {
    pending = 0;
    for (const layer of [world, marks]) {
      layer.setAttribute("transform", `translate(${view.x} ${view.y}) scale(${view.k})`);
    }
    svg.classList.toggle("far", view.k < FAR);
    svg.classList.toggle("near", view.k >= 0.75);
    svg.style.setProperty("--mark", Math.min(6, Math.max(1, 0.62 / view.k)));
    label();
  });
};

const zoom = (factor, cx, cy) => {
  const { width, height } = svg.getBoundingClientRect();
  const [px, py] = [cx ?? width / 2, cy ?? height / 2];
  const k = Math.min(3, Math.max(0.02, view.k * factor));
  view.x = px - ((px - view.x) * k) / view.k;
  view.y = py - ((py - view.y) * k) / view.k;
  view.k = k;
  move();
};

const fit = () => {
  const { width, height } = svg.getBoundingClientRect();
  const [wide, high] = data.box;
  view.k = Math.min(1.2, Math.max(0.02, Math.min((width - 60) / wide, (height - 70) / high)));
  view.x = (width - wide * view.k) / 2;
  view.y = (height - high * view.k) / 2;
  move();
};

// Bring a node into sight, large enough to be read.
const show = (i) => {
  const { width, height } = svg.getBoundingClientRect();
  const x = view.x + (nodes[i].x + WIDTH / 2) * view.k;
  const y = view.y + (nodes[i].y + HEIGHT / 2) * view.k;
  const seen = x > 60 && x < width - 60 && y > 40 && y < height - 40;
  if (seen) return move();
  view.x = width / 2 - (nodes[i].x + WIDTH / 2) * view.k;
  view.y = height / 2 - (nodes[i].y + HEIGHT / 2) * view.k;
  move();
};
