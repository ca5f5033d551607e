/* The example browser: which task, which two checkpoints, which examples, which one. */

const FLIPS = {
  gained: { id: "gained", name: "gained", mark: "▲" },
  lost: { id: "lost", name: "lost", mark: "▼" },
  right: { id: "right", name: "both right", mark: "●" },
  wrong: { id: "wrong", name: "both wrong", mark: "○" },
  none: { id: "none", name: "not scored on both sides", mark: "–" },
};
const ROW_HEIGHT = 54;      // as in browser.css
const TYPING_PAUSE = 150;   // milliseconds

function flipOf(left, right) {
  if (left === null || right === null || left === undefined || right === undefined) return FLIPS.none;
  if (right !== left) return right > left ? FLIPS.gained : FLIPS.lost;
  return right >= 0.5 ? FLIPS.right : FLIPS.wrong;
}

class ExampleBrowser {
  constructor(root, book, index) {
    this.root = root;
    this.book = book;
    this.index = index.map((task, number) => ({ ...task, number, isCode: /(^|-)code$/.test(task.suite) }));
    this.find = (id) => root.querySelector(`#${id}`);
    this.filter = "all";
    this.query = "";
    this.mode = "rendered";
    this.opened = null;       // position in this.rows of the example in full
    this.rows = [];           // positions in task.shown that pass filter and search
    this.list = new VirtualList(this.find("list"), ROW_HEIGHT, (at) => this.renderRow(at), (at) => this.open(at));
    this.find("task").append(...this.index.map((task) => el("option", { value: task.number }, task.name)));
    this.listen();
  }

  listen() {
    this.find("task").addEventListener("change", () => this.chooseTask(Number(this.find("task").value)));
    for (const side of ["left", "right"]) this.find(side).addEventListener("change", () => this.chooseSides());
    for (const button of this.root.querySelectorAll("[data-flip]"))
      button.addEventListener("click", () => { this.filter = button.dataset.flip; this.refresh(); });
    let waiting = 0;
    this.find("query").addEventListener("input", () => {
      clearTimeout(waiting);
      waiting = setTimeout(() => { this.query = this.find("query").value.trim().toLowerCase(); this.refresh(); }, TYPING_PAUSE);
    });
    document.addEventListener("keydown", (event) => this.onKey(event));
    addEventListener("popstate", () => this.follow());
  }

  /* Task and sides */

  chooseTask(number, sides = this) {
    if (this.task && this.task.number !== number) forget(`chunk-${this.task.number}`);
    this.task = this.index[number];
    this.find("task").value = number;
    this.prompts = this.lowered = null;
    this.rows = [];
    this.list.reset(0);
    const labels = this.labels();
    for (const side of ["left", "right"]) {
      const wanted = sides[side];
      this.find(side).replaceChildren(...labels.map(({ label, title }) => el("option", { value: label }, title)));
      const keeps = labels.some(({ label }) => label === wanted) && (side === "left" || sides !== this || wanted !== this.left);
      this[side] = keeps ? wanted : this.defaultOf(side, labels);
      this.find(side).value = this[side];
    }
    this.close(false);
    this.chooseSides();
    unpack(this.chunk()).then((prompts) => {
      if (this.task.number !== number) return;
      this.prompts = prompts;
      this.list.draw();
    });
  }

  labels() {
    return this.book.labels.filter(({ label }) => Object.hasOwn(this.task.means, label));
  }

  defaultOf(side, labels) {
    const wanted = side === "left" ? "base" : "candidate";
    const others = labels.filter(({ label }) => side === "left" || label !== this.left);
    return (others.find(({ role }) => role === wanted) ?? others[0] ?? labels[0]).label;
  }

  chooseSides() {
    this.left = this.find("left").value;
    this.right = this.find("right").value;
    this.lowered = null;
    const [before, after] = [this.task.means[this.left], this.task.means[this.right]];
    this.flips = this.task.ids.map((_, row) => flipOf(before[row], after[row]));
    for (const button of this.root.querySelectorAll("[data-flip]")) {
      const flip = button.dataset.flip;
      const number = flip === "all" ? this.flips.length : this.flips.filter(({ id }) => id === flip).length;
      button.querySelector(".count").textContent = count(number);
    }
    this.refresh();
  }

  /* List */

  async refresh() {
    const { task, filter, query, left, right } = this;
    const texts = query ? await this.searchable() : null;
    const isCurrent = task === this.task && query === this.query && left === this.left && right === this.right;
    if (!isCurrent || filter !== this.filter) return;   // another choice was made meanwhile
    const kept = this.opened === null ? null : this.rows[this.opened];
    for (const button of this.root.querySelectorAll("[data-flip]"))
      button.setAttribute("aria-pressed", button.dataset.flip === this.filter);
    const passing = [...task.shown.keys()].filter((at) => filter === "all" || this.flips[task.shown[at]].id === filter);
    this.rows = texts ? passing.filter((at) => texts[at].includes(query)) : passing;
    const place = this.rows.indexOf(kept);
    this.opened = place < 0 ? null : place;
    this.list.reset(this.rows.length, place);
    this.tell(passing.length);
    if (place < 0) this.close(false);
    else this.show();
  }

  tell(numPassing) {
    const { task, filter } = this;
    const all = filter === "all" ? task.ids.length : this.flips.filter(({ id }) => id === filter).length;
    const name = filter === "all" ? "" : ` ${FLIPS[filter].name}`;
    const examples = `${count(all)} example${all === 1 ? "" : "s"}${name}`;
    const shows = numPassing < all ? `shows ${count(numPassing)} of ${examples}` : examples;
    this.find("status").textContent = this.query ? `${count(this.rows.length)} found among ${count(numPassing)}${name}` : shows;
  }

  async searchable() {
    const { task, left, right } = this;
    if (this.lowered) return this.lowered;
    const [prompts, before, after] = await Promise.all([unpack(this.chunk()), unpack(this.chunk(left)), unpack(this.chunk(right))]);
    const join = (at) =>
      [task.ids[task.shown[at]], ...(prompts[at] ?? []), ...before[at].map(([text]) => text), ...after[at].map(([text]) => text)];
    const lowered = task.shown.map((_, at) => join(at).join("\n").toLowerCase());
    if (task === this.task && left === this.left && right === this.right) this.lowered = lowered;
    return lowered;
  }

  chunk(label) {
    const place = this.book.labels.findIndex((each) => each.label === label);
    return label === undefined ? `chunk-${this.task.number}` : `chunk-${this.task.number}-${place}`;
  }

  renderRow(position) {
    const at = this.rows[position];
    const row = this.task.shown[at];
    const flip = this.flips[row];
    const [before, after] = [this.left, this.right].map((label) => percent(this.task.means[label][row]));
    return el("div", { class: position === this.opened ? "row opened" : "row" },
      el("span", { class: `mark ${flip.id}`, title: flip.name }, flip.mark),
      el("span", { class: "id" }, this.task.ids[row]),
      el("span", { class: "scores" }, this.left === this.right ? before : `${before} → ${after}`),
      el("span", { class: "excerpt" }, this.prompts?.[at]?.[0].slice(0, 200) ?? ""));
  }

  /* Detail */

  open(position) {
    if (position < 0 || position >= this.rows.length) return;
    const wasOpen = this.opened !== null;
    this.opened = position;
    this.root.classList.add("open");
    this.find("detail").hidden = false;
    this.list.moveTo(position);
    history[wasOpen ? "replaceState" : "pushState"](null, "", this.address());
    this.show(true);
  }

  async show(takeFocus = false) {
    const { task, left, right, opened } = this;
    const at = this.rows[opened];
    const row = task.shown[at];
    const [prompts, ...texts] = await Promise.all([unpack(this.chunk()), unpack(this.chunk(left)), unpack(this.chunk(right))]);
    if (task !== this.task || opened !== this.opened || this.rows[opened] !== at) return;
    const [prompt, target] = prompts[at] ?? ["(the run does not hold this prompt)", null];
    const sides = [left, right].map((label, side) => this.sideOf(label, texts[side][at]));
    const example = { task, id: task.ids[row], flip: this.flips[row], prompt, target, sides };
    const detail = this.find("detail");
    const mark = () => highlight(detail, this.query);
    detail.replaceChildren(this.bar(), ...buildDetail(example, { mode: this.mode, onText: mark }));
    detail.setAttribute("aria-label", `Example ${example.id}`);
    detail.scrollTop = 0;
    mark();
    if (takeFocus) {
      detail.focus({ preventScroll: true });
      const panes = this.root.querySelector(".panes");
      const { top } = panes.getBoundingClientRect();
      if (top < 0 || top > innerHeight / 3) panes.scrollIntoView({ block: "start" });
    }
  }

  sideOf(label, rows) {
    const generations = rows.map(asGeneration);
    const { title } = this.book.labels.find((each) => each.label === label);
    return { label, title, generations, numRuns: new Set(generations.map(({ run }) => run)).size };
  }

  bar() {
    const toggle = () => {
      this.mode = this.mode === "source" ? "rendered" : "source";
      this.show().then(() => this.find("source")?.focus());
    };
    const button = (name, attributes) => el("button", { type: "button", ...attributes }, name);
    return el("div", { class: "bar" },
      button("← Back", { class: "back", onclick: () => this.close(), title: "Esc" }),
      button("Previous", { onclick: () => this.open(this.opened - 1), disabled: this.opened === 0, title: "k" }),
      button("Next", { onclick: () => this.open(this.opened + 1), disabled: this.opened === this.rows.length - 1, title: "j" }),
      button("Source", { id: "source", onclick: toggle, "aria-pressed": String(this.mode === "source") }));
  }

  close(byReader = true) {
    this.root.classList.remove("open");
    this.find("detail").hidden = true;
    this.find("detail").replaceChildren();
    this.opened = null;
    this.list.draw();
    if (!byReader) return;
    history.replaceState(null, "", "#examples");
    this.list.reveal();
    this.list.draw();
    this.find("list").focus({ preventScroll: true });
  }

  /* Address: #task/example, and the two checkpoints where they are not the first ones to be shown */

  address() {
    const parts = [this.task.name, this.task.ids[this.task.shown[this.rows[this.opened]]]];
    const labels = this.labels();
    const left = this.defaultOf("left", labels);
    if (this.left !== left || this.right !== this.defaultOf("right", labels)) parts.push(this.left, this.right);
    return `#${parts.map(encodeURIComponent).join("/")}`;
  }

  follow() {
    if (location.hash === "#examples" || location.hash === "") return this.close(false);
    const [name, id, left, right] = location.hash.slice(1).split("/").map(readPart);
    const task = this.index.find((each) => each.name === name);
    if (!task || id === undefined) return undefined;
    const place = task.shown.indexOf(task.ids.indexOf(id));
    if (place < 0) return undefined;
    this.filter = "all";
    this.query = this.find("query").value = "";
    this.chooseTask(task.number, { left, right });
    this.opened = place;
    this.root.classList.add("open");
    this.find("detail").hidden = false;
    this.list.reset(this.rows.length, place);
    this.root.scrollIntoView({ block: "start" });
    return this.show(true);
  }

  /* Keys */

  onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const focused = document.activeElement;
    if (focused === this.find("query")) this.onSearchKey(event);
    else if (event.key === "/" && !focused.matches("input, select, textarea")) {
      event.preventDefault();
      this.find("query").focus();
      this.find("query").select();
    } else if (!focused.matches("input, select, textarea") && this.isInUse(focused)) this.onListKey(event, focused);
  }

  isInUse(focused) {
    if (this.root.contains(focused)) return true;
    const { top, bottom } = this.root.getBoundingClientRect();
    return focused === document.body && top < innerHeight * 0.7 && bottom > innerHeight * 0.3;
  }

  onSearchKey(event) {
    if (event.key !== "Enter" && event.key !== "ArrowDown" && event.key !== "Escape") return;
    event.preventDefault();
    if (this.list.cursor < 0) this.list.moveTo(0);
    this.find(this.opened === null ? "list" : "detail").focus({ preventScroll: true });
  }

  onListKey(event, focused) {
    const inList = focused === this.find("list");
    const steps = { j: 1, k: -1 };
    if (inList) Object.assign(steps, { ArrowDown: 1, ArrowUp: -1, PageDown: this.list.pageSize, PageUp: -this.list.pageSize });
    if (inList) Object.assign(steps, { Home: -this.list.length, End: this.list.length });
    if (event.key in steps) {
      event.preventDefault();
      const place = Math.min(Math.max(this.list.cursor + steps[event.key], 0), this.list.length - 1);
      if (this.opened === null) { this.list.moveTo(place); this.find("list").focus({ preventScroll: true }); }
      else if (place !== this.opened) this.open(place);
    } else if (event.key === "Enter" && (inList || focused === document.body)) this.open(this.list.cursor);
    else if (event.key === "Escape" && this.opened !== null) this.close();
  }
}

function readPart(text) {
  try { return decodeURIComponent(text); } catch { return text; }
}

async function startBrowser() {
  const root = document.getElementById("browser");
  if (!root) return;
  if (!("DecompressionStream" in window)) {
    root.replaceWith(el("p", {}, "This browser is too old to unpack the examples (it lacks DecompressionStream)."));
    return;
  }
  const book = JSON.parse(document.getElementById("book").textContent);
  const browser = new ExampleBrowser(root, book, await unpack("chunk-index"));
  root.hidden = false;
  browser.chooseTask(0);
  browser.follow();
  root.dataset.ready = "true";
}

startBrowser().catch((error) => {
  const told = `The examples could not be unpacked (${error.message}): the file may have been cut off.`;
  document.getElementById("browser").replaceWith(el("p", {}, told));
});
