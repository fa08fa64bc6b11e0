// What people do: filters, clicks, keys.

let selected = null;

const counts = () => {
  const seen = left.shown.filter(Boolean).length;
  const hidden = nodes.length - seen;
  byId("counts").textContent = hidden
    ? `Filtered: ${seen.toLocaleString("en")} of ${plural(nodes.length, "node")}`
    : "";
  byId("counts").classList.toggle("on", hidden > 0);
};

const select = (i, focus = false) => {
  selected = i;
  paint(selected);
  if (i === null) {
    summary();
  } else {
    about(i);
    show(i);
  }
  if (focus) panel.querySelector("h2").focus();
};

const refresh = () => {
  choose();
  counts();
  paint(selected);
  if (selected === null) summary();
  else about(selected);
};

const box = (name, value, count) => {
  const input = make("input", { type: "checkbox", checked: true });
  input.addEventListener("change", () => {
    if (input.checked) asked[name].delete(value);
    else asked[name].add(value);
    refresh();
  });
  const sample = name === "kind" ? `swatch ${colour(value)}` : name === "assurance" ? `sample ${value}` : null;
  return make("label", {}, input, sample ? make("i", { class: sample }) : null, `${shorten(value, 40)} `,
    make("small", {}, count.toLocaleString("en")));
};

const fillFilters = () => {
  for (const name of ["kind", "assurance", "relation"]) {
    for (const [value, count] of choices[name]) byId(name).append(box(name, value, count));
  }
  const count = (name) => nodes.filter(STATES[name]).length;
  const options = [["", "any"]];
  if (data.direction === "down") {
    options.push(["carried", `a quarantine flows to (${count("carried") - 1})`]);
  }
  options.push(["deployed", `deployed (${count("deployed")})`]);
  for (const [stage, many] of stages) options.push([`stage:${stage}`, `stage ${stage} (${many})`]);
  if (count("said") > count("deployed")) options.push(["said", `said to run (${count("said")})`]);
  options.push(["quarantined", `quarantined (${count("quarantined")})`]);
  if (count("erased")) options.push(["erased", `erased (${count("erased")})`]);
  byId("state").append(...options.map(([value, text]) => make("option", { value }, shorten(text, 40))));
};

const fillWords = () => {
  const far = nodes.length - 1;
  const way = data.direction === "down" ? "downstream" : "upstream";
  const running = nodes.filter((node) => node.hosts > 0).length;
  const stopped = nodes.filter((node) => node.quarantined).length;
  byId("summary").textContent =
    `${plural(far, "node")} ${way}, ${running.toLocaleString("en")} deployed, ` +
    `${stopped.toLocaleString("en")} quarantined, as of ledger entry ${data.entry}`;
  const legend = byId("legend");
  const mark = (name, shape, text) => {
    const icon = make("svg", { viewBox: "-11 -11 22 22", width: 16, height: 16 });
    icon.append(make("path", { class: `mark ${name}`, d: shape }));
    legend.append(make("span", {}, icon, text));
  };
  legend.append(make("span", {}, "inputs left, outputs right"));
  mark("stop", STOP, "quarantined");
  mark("runs", RUNS, "deployed");
};

const clear = () => {
  for (const name of ["kind", "assurance", "relation"]) asked[name].clear();
  asked.state = asked.text = byId("state").value = byId("find").value = "";
  byId("filters").querySelectorAll("input[type=checkbox]").forEach((one) => (one.checked = true));
  refresh();
};

// The nearest node in a direction: along edges to the sides, else in the same column.
const step = (key) => {
  const at = selected ?? start;
  if (selected === null) return start;
  const here = nodes[at];
  const side = key === "ArrowRight" ? 1 : key === "ArrowLeft" ? -1 : 0;
  const touching = [...away[at].map((i) => edges[i].far), ...toward[at].map((i) => edges[i].near)];
  const near = (list, measure) =>
    list.filter((i) => i !== at && left.way[i]).sort((a, b) => measure(nodes[a]) - measure(nodes[b]))[0];
  if (side) {
    const beside = touching.filter((i) => (nodes[i].x - here.x) * side > 0);
    return near(beside, (node) => Math.abs(node.y - here.y) + Math.abs(node.x - here.x) / 4);
  }
  const down = key === "ArrowDown" ? 1 : -1;
  const column = nodes.flatMap((n, i) => (n.x === here.x && (n.y - here.y) * down > 0 ? [i] : []));
  return near(column, (node) => Math.abs(node.y - here.y));
};

const onKey = (event) => {
  const writing = ["INPUT", "SELECT"].includes(event.target.tagName);
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape") {
    if (writing && asked.text) clear();
    else select(null);
    svg.focus();
  } else if (writing) {
    const hit = left.shown.findIndex((on, i) => on && i !== start);
    if (event.key === "Enter" && event.target.id === "find" && hit >= 0) select(hit, true);
    return;
  } else if (event.key === "/") byId("find").focus();
  else if (event.key === "+" || event.key === "=") zoom(1.3);
  else if (event.key === "-") zoom(1 / 1.3);
  else if (event.key === "0") fit();
  else if (event.target === svg && event.key.startsWith("Arrow")) {
    const next = step(event.key);
    if (next !== undefined) select(next);
  } else if (event.target === svg && event.key === "Enter") {
    panel.querySelector("h2").focus();
  } else return;
  event.preventDefault();
};

const listen = () => {
  let held = null;
  svg.addEventListener("pointerdown", (event) => {
    held = { x: event.clientX, y: event.clientY, moved: false };
  });
  svg.addEventListener("pointermove", (event) => {
    if (!held || !event.buttons) return;
    const [dx, dy] = [event.clientX - held.x, event.clientY - held.y];
    if (!held.moved && Math.hypot(dx, dy) < 4) return;
    if (!held.moved) svg.setPointerCapture(event.pointerId);
    view.x += dx;
    view.y += dy;
    held = { x: event.clientX, y: event.clientY, moved: true };
    move();
  });
  svg.addEventListener("click", (event) => {
    if (held && held.moved) return;
    const group = event.target.closest("[data-node]");
    select(group ? Number(group.dataset.node) : null);
  });
  svg.addEventListener("dblclick", (event) => {
    const frame = svg.getBoundingClientRect();
    zoom(Math.max(1, 0.9 / view.k), event.clientX - frame.left, event.clientY - frame.top);
  });
  svg.addEventListener("wheel", (event) => {
    event.preventDefault();
    const frame = svg.getBoundingClientRect();
    const amount = event.deltaY * (event.deltaMode === 1 ? 16 : 1);
    zoom(Math.exp(-amount / 400), event.clientX - frame.left, event.clientY - frame.top);
  }, { passive: false });
  panel.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    if (button.dataset.jump !== undefined) select(Number(button.dataset.jump), true);
    else if (button.id === "close") select(null, true);
  });
  byId("find").addEventListener("input", (event) => {
    asked.text = event.target.value;
    selected = null;
    refresh();
  });
  byId("state").addEventListener("change", (event) => {
    asked.state = event.target.value;
    refresh();
  });
  byId("closer").addEventListener("click", () => zoom(1.3));
  byId("further").addEventListener("click", () => zoom(1 / 1.3));
  byId("fit").addEventListener("click", fit);
  byId("all").addEventListener("click", clear);
  document.addEventListener("keydown", onKey);
  new ResizeObserver(() => move()).observe(svg);
};

draw();
fillFilters();
fillWords();
choose();
listen();
fit();
select(data.selected);
counts();
document.body.dataset.ready = "yes";
