// The side panel: a list of what was found, or the evidence about one node.

const panel = byId("panel");
const SOME = 100; // of a list, before it is asked for in full

const jump = (i, more = "") => {
  const node = nodes[i];
  const button = make("button", { type: "button", class: "jump", "data-jump": i });
  button.append(make("b", {}, node.label), make("span", {}, ` ${kindOf(node)}${more}`));
  for (const word of states(node)) {
    const name = word === "QUARANTINED" ? "badge stop" : "badge";
    button.append(" ", make("span", { class: name }, word));
  }
  return make("li", {}, button);
};

// A list of which only the beginning is made until the rest is wanted.
const long = (items, build, some = SOME) => {
  const list = make("ul", {}, ...items.slice(0, some).map(build));
  const rest = items.length - some;
  if (rest > 0) {
    const button = make("button", { type: "button" }, `Show ${plural(rest, "other")}`);
    button.addEventListener("click", () => {
      item.remove();
      list.append(...items.slice(some).map(build));
    });
    const item = make("li", {}, button);
    list.append(item);
  }
  return list;
};

const row = (name, ...values) => [
  make("dt", {}, name),
  make("dd", {}, ...values.map((value) => (value instanceof Node ? value : String(value)))),
];

const word = (statement) => {
  const dated = statement.dated.length ? statement.dated.join(", ") : "no time from a log or authority";
  return make(
    "details",
    {},
    make("summary", {}, make("span", { class: `word ${statement.assurance}` }, statement.assurance),
      ` by ${statement.signer}, ledger entry ${statement.entry}`),
    make(
      "dl",
      {},
      ...row("statement", make("code", {}, statement.bundle)),
      ...row("type", statement.predicate_type),
      ...row("about", statement.about || "-"),
      ...row("key", make("code", {}, statement.key_id || "no signature verifies")),
      ...row("dated", dated),
    ),
  );
};

const evidence = (i) => {
  const edge = edges[i];
  const item = make("div", { class: "evidence" });
  item.append(
    make("p", {}, make("b", {}, edge.relation), edge.path ? ` ${edge.path}` : "", " ",
      make("span", { class: `word ${edge.assurance}` }, edge.assurance),
      edge.flows ? "" : " (nothing flows along it)"),
  );
  if (!edge.statements.length) item.append(make("p", { class: "faint" }, "It follows from the bytes."));
  item.append(...edge.statements.map(word));
  return item;
};

const way = (i, ways) => {
  if (i === start) return [make("p", {}, "The trace starts here.")];
  if (!ways.found) return [make("p", {}, "No way leads here with these filters.")];
  const weak = ways.best.filter((e) => !STRONG.has(edges[e].assurance) || !edges[e].flows).length;
  const about = weak
    ? `${plural(weak, "edge")} of the best way would not carry a quarantine.`
    : "Every edge of this way would carry a quarantine.";
  const list = make("ol", { class: "way" }, jump(start));
  for (const e of ways.best) {
    const item = jump(edges[e].far);
    item.prepend(evidence(e));
    list.append(item);
  }
  const others = ways.all.size - ways.best.length;
  const more = others > 0 ? ` Other ways lead here too, by ${plural(others, "more edge")} (thin lines).` : "";
  return [make("p", {}, about + more), list];
};

const runs = (one) =>
  make(
    "li",
    {},
    make(
      "details",
      {},
      make("summary", {}, make("b", {}, one.place), ` since ${one.since}`,
        one.believed ? "" : make("b", {}, " NOT BELIEVED")),
      make(
        "dl",
        {},
        ...row("state", one.state),
        ...row("as", one.name),
        ...row("said", `${one.said} by ${one.signer}`),
        ...row("until", one.until),
        ...row("statement", make("code", {}, one.bundle)),
      ),
    ),
  );

const about = (i) => {
  const node = nodes[i];
  const close = make("button", { type: "button", id: "close", title: "Back to the list (Esc)" }, "List");
  const heading = make("h2", { tabindex: "-1" }, node.label);
  const facts = make(
    "dl",
    {},
    ...row("kind", kindOf(node)),
    ...row("digest", make("code", {}, node.digest)),
    ...(node.names.length > 1 ? row("names", node.names.join(", ")) : []),
    ...row("distance", plural(node.depth, "edge")),
  );
  const parts = [close, heading];
  if (node.quarantined) parts.push(make("p", { class: "alarm" }, "QUARANTINED: a believed quarantine names it."));
  for (const text of node.erased) parts.push(make("p", { class: "alarm" }, `ERASED: ${text}`));
  parts.push(facts);
  if (node.deployed.length) {
    parts.push(make("h3", {}, `Runs at ${plural(node.deployed.length, "place")}`));
    parts.push(long(node.deployed, runs, 6));
  }
  parts.push(make("h3", {}, `Way from ${nodes[start].label}`), ...way(i, waysTo(i)));
  const beside = (title, list, end) => {
    if (!list.length) return;
    parts.push(make("h3", {}, `${title} (${list.length})`));
    parts.push(long(list, (e) => {
      const item = jump(edges[e][end], `, ${edges[e].relation}, ${edges[e].assurance}`);
      const hidden = make("details", {}, make("summary", {}, "evidence"), evidence(e));
      item.append(hidden);
      return item;
    }));
  };
  beside("Came from", [...toward[i], ...away[i]].filter((e) => edges[e].output === i), "input");
  beside("Went into", [...away[i], ...toward[i]].filter((e) => edges[e].input === i), "output");
  panel.replaceChildren(...parts);
  panel.scrollTop = 0;
};

const summary = () => {
  const order = (a, b) =>
    Number(nodes[b].hosts > 0) - Number(nodes[a].hosts > 0) ||
    Number(nodes[b].quarantined) - Number(nodes[a].quarantined) ||
    nodes[a].depth - nodes[b].depth ||
    a - b;
  const found = nodes.flatMap((_, i) => (left.shown[i] && i !== start ? [i] : [])).sort(order);
  const running = found.filter((i) => nodes[i].hosts > 0);
  const parts = [make("h2", { tabindex: "-1" }, plural(found.length, "result"))];
  const rest = found.filter((i) => !(nodes[i].hosts > 0));
  if (running.length) parts.push(make("h3", {}, `Deployed (${running.length})`), long(running, (i) => jump(i)));
  if (rest.length) parts.push(make("h3", {}, `Not known to run (${rest.length})`), long(rest, (i) => jump(i)));
  parts.push(
    make("p", { class: "faint", id: "keys" },
      "Keys in the graph: arrows go from node to node, Enter to the evidence, + and - zoom, 0 fits, " +
        "/ finds, Esc goes back. A host that does not report is not here."),
  );
  panel.replaceChildren(...parts);
  panel.scrollTop = 0;
};
