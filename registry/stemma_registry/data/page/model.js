"use strict";
// What the trace says, and what of it is asked for. Nothing here touches the page.

const data = JSON.parse(document.getElementById("trace").textContent);
const { nodes, edges, pairs, start } = data;
const [WIDTH, HEIGHT] = data.size;
const STRONG = new Set(["attested", "contains"]);
const ASSURANCES = ["attested", "contains", "signed", "claimed"];

const away = nodes.map(() => []); // edges that lead on from a node, away from the start
const toward = nodes.map(() => []); // edges that lead to it
edges.forEach((edge, i) => {
  away[edge.near].push(i);
  toward[edge.far].push(i);
});

const kindOf = (node) => node.kind || (node.digest.startsWith("git") ? "commit" : "file");
const KNOWN = new Set([
  ...["model", "adapter", "dataset", "evaluation", "file", "code", "commit"],
  ...["tokenizer", "config", "prompt"],
]);
const colour = (kind) => (KNOWN.has(kind) ? `k-${kind}` : "k-other");
const plural = (count, word) => `${count.toLocaleString("en")} ${word}${count === 1 ? "" : "s"}`;
const shorten = (text, room) => {
  const letters = Array.from(text);
  if (letters.length <= room) return text;
  const back = Math.floor(room / 2);
  return letters.slice(0, room - back - 1).join("") + "…" + letters.slice(-back).join("");
};
const shortDigest = (digest) => {
  const [algorithm, value] = digest.split(":");
  return `${algorithm === "sha256" ? "" : algorithm + ":"}${(value || "").slice(0, 12)}`;
};

// What a filter can choose among: value -> how many have it.
const tally = (values) => {
  const found = new Map();
  for (const value of values) found.set(value, (found.get(value) || 0) + 1);
  return new Map([...found].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1)));
};
const choices = {
  kind: tally(nodes.map(kindOf)),
  assurance: tally(edges.map((edge) => edge.assurance)),
  relation: tally(edges.map((edge) => edge.relation)),
};
// At which stages a node is: of NAME#STAGE what is behind the #.
const held = (node) => (node.stages ?? []).map((where) => where.slice(where.lastIndexOf("#") + 1));
const stages = tally(
  nodes.flatMap((node) => [...new Set([...held(node), ...node.deployed.map((one) => one.stage)])]).filter(Boolean),
);

const asked = { kind: new Set(), assurance: new Set(), relation: new Set(), state: "", text: "" };

// To what a quarantine of the start would flow: along believed edges, and only those that carry.
const carried = nodes.map(() => false);
carried[start] = true;
for (const waiting = [start]; waiting.length; ) {
  for (const i of away[waiting.pop()]) {
    const { far, flows, assurance } = edges[i];
    if (!flows || !STRONG.has(assurance) || carried[far]) continue;
    carried[far] = true;
    waiting.push(far);
  }
}

const STATES = {
  carried: (_, i) => carried[i],
  "": () => true,
  deployed: (node) => node.hosts > 0,
  said: (node) => node.deployed.length > 0,
  quarantined: (node) => node.quarantined,
  erased: (node) => node.erased.length > 0,
};
const inState = (node, i) => {
  if (asked.state.startsWith("stage:")) {
    const stage = asked.state.slice("stage:".length);
    return held(node).includes(stage) || node.deployed.some((one) => one.believed && one.stage === stage);
  }
  return STATES[asked.state](node, i);
};
const hasText = (node) => {
  const wanted = asked.text.trim().toLowerCase();
  if (!wanted) return true;
  const texts = [node.label, node.digest, ...node.names, ...node.deployed.map((one) => one.place)];
  return texts.some((text) => text.toLowerCase().includes(wanted));
};

// What is left: the edges that may be followed, the nodes that they reach from the start, those
// of them that are asked for, and what lies on the ways to these.
let left = null;
const choose = () => {
  const open = edges.map((e) => !asked.relation.has(e.relation) && !asked.assurance.has(e.assurance));
  const reached = nodes.map(() => false);
  const passes = nodes.map(() => false); // reached by something that carries on
  reached[start] = passes[start] = true;
  const waiting = [start];
  while (waiting.length) {
    for (const i of away[waiting.pop()]) {
      if (!open[i]) continue;
      const { far, flows } = edges[i];
      reached[far] = true;
      if (flows && !passes[far]) {
        passes[far] = true;
        waiting.push(far);
      }
    }
  }
  const shown = nodes.map(
    (node, i) => reached[i] && !asked.kind.has(kindOf(node)) && inState(node, i) && hasText(node),
  );
  const way = [...shown];
  const back = nodes.flatMap((_, i) => (shown[i] ? [i] : []));
  while (back.length) {
    const at = back.pop();
    for (const i of toward[at]) {
      const { near, flows } = edges[i];
      if (open[i] && passes[near] && !way[near] && (flows || shown[at])) {
        way[near] = true;
        back.push(near);
      }
    }
  }
  way[start] = true;
  left = { open, passes, shown, way };
};

// The ways from the start to a node: `best` has the fewest edges that nobody believed stands
// behind, then the fewest; `all` is every edge that lies on some way.
const waysTo = (target) => {
  const usable = (i) => left.open[i] && left.passes[edges[i].near];
  const cost = nodes.map(() => Infinity);
  const via = nodes.map(() => -1);
  cost[start] = 0;
  let rim = [start];
  while (rim.length) {
    const next = new Set();
    for (const near of rim) {
      for (const i of away[near]) {
        if (!usable(i)) continue;
        const { far, flows, assurance } = edges[i];
        if (!flows && far !== target) continue;
        const price = cost[near] + (STRONG.has(assurance) && flows ? 1 : 1e6);
        if (price < cost[far]) {
          cost[far] = price;
          via[far] = i;
          next.add(far);
        }
      }
    }
    rim = [...next];
  }
  const best = [];
  for (let at = target; at !== start && via[at] >= 0; at = edges[via[at]].near) best.unshift(via[at]);
  const all = new Set();
  const seen = new Set([target]);
  const back = [target];
  while (back.length) {
    const at = back.pop();
    if (at === start) continue;
    for (const i of toward[at]) {
      if (!usable(i) || (!edges[i].flows && edges[i].far !== target)) continue;
      all.add(i);
      if (!seen.has(edges[i].near)) {
        seen.add(edges[i].near);
        back.push(edges[i].near);
      }
    }
  }
  return { best, all, found: target === start || via[target] >= 0 };
};
