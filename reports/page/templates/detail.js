/* One example in full: prompt, target, and what two checkpoints made of it. */

const FINISH = { stop: "by itself", length: "cut off at the token limit", error: "in error", unknown: "not recorded" };
const MAX_MARKS = 1000;
const OUTCOMES = { no_answer: "no answer could be read", timeout: "judging timed out", error: "error" };

function verdictOf(generation) {
  if (generation.outcome === null) return "not scored";
  if (generation.outcome !== "scored") return OUTCOMES[generation.outcome];
  if (generation.value === 1) return "right";
  return generation.value === 0 ? "wrong" : `score ${percent(generation.value)}`;
}

function percent(value) {
  if (value === null || value === undefined) return "–";
  return String(Math.round(1000 * value) / 10);
}

function showText(holder, text, mode, isCode) {
  holder.replaceChildren();
  holder.className = `text${mode === "source" || isCode ? " mono" : ""}`;
  if (mode === "source" || isCode) holder.append(text);
  else renderText(holder, text);
}

function buildDetail(example, state) {
  const { task, id, flip, prompt, target, sides } = example;
  const heading = el("h3", {}, `${task.name} / ${id}`);
  const body = el("div", { class: "exchange" });
  const block = (title, text) => {
    const holder = el("div");
    showText(holder, text, state.mode, task.isCode);
    return el("section", {}, el("h4", {}, title), holder);
  };
  body.append(block("Prompt", prompt));
  if (target !== null) body.append(block("Target", target));
  const shown = sides.filter((side, position) => position === 0 || side.label !== sides[0].label);
  body.append(el("div", { class: "sides" }, ...shown.map((side) => buildSide(side, state, task.isCode))));
  return [el("p", { class: `flip ${flip.id}` }, `${flip.mark} ${flip.name}`), heading, body];
}

function buildSide(side, state, isCode) {
  const holder = el("div");
  const facts = el("dl", { class: "facts" });
  const show = (position) => {
    const generation = side.generations[position];
    facts.replaceChildren(...factsOf(generation));
    showText(holder, generation.text, state.mode, isCode);
    state.onText();
  };
  const head = el("h4", {}, el("span", { class: "which" }, side.title));
  if (side.generations.length === 0) return el("section", {}, head, el("p", { class: "muted" }, "has no generation"));
  show(0);
  return el("section", {}, head, chooser(side, show), facts, holder);
}

function chooser(side, show) {
  const total = side.generations.length;
  if (total === 1) return null;
  const options = side.generations.map((generation, position) => {
    const run = side.numRuns > 1 ? `run ${generation.run + 1}, ` : "";
    return el("option", { value: position }, `${run}generation ${generation.index + 1}: ${verdictOf(generation)}`);
  });
  const select = el("select", { onchange: () => show(Number(select.value)) }, ...options);
  return el("label", { class: "chooser" }, `${total} generations `, select);
}

function factsOf(generation) {
  const right = generation.outcome === "scored" && generation.value >= 0.5;
  const rows = [
    ["Verdict", el("span", { class: right ? "good" : "bad" }, verdictOf(generation))],
    ["Answer", generation.answer === null ? "–" : el("code", {}, generation.answer)],
    ["Why", generation.detail ?? "–"],
    ["Ended", FINISH[generation.finish] ?? generation.finish],
    ["Tokens", generation.tokens === null ? "–" : count(generation.tokens)],
  ];
  if (generation.error !== null) rows.push(["Error", generation.error]);
  return rows.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value)));
}

/* Marks what was searched for, over the text as it stands. */
function highlight(holder, query) {
  if (!("highlights" in CSS)) return;
  CSS.highlights.delete("hit");
  if (!query) return;
  const ranges = [];
  const walker = document.createTreeWalker(holder, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node && ranges.length < MAX_MARKS; node = walker.nextNode()) {
    const text = node.data.toLowerCase();
    if (text.length !== node.length) continue;   // a letter whose lower case is longer would shift the marks
    for (let at = text.indexOf(query); at >= 0 && ranges.length < MAX_MARKS; at = text.indexOf(query, at + query.length)) {
      const range = new Range();
      range.setStart(node, at);
      range.setEnd(node, at + query.length);
      ranges.push(range);
    }
  }
  CSS.highlights.set("hit", new Highlight(...ranges));
}
