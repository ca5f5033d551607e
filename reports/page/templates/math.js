/* Shows a text with its formulas and fenced code. What is no formula, or cannot be parsed, stays as it was written. */

const MAX_FORMULA = 4000;   // characters; a longer stretch between delimiters is prose
const MAX_FORMULAS = 500;   // of one text; the rest stays source, so that a hostile text cannot stall the page
const OPENING = /\\\\|\\\$|\$\$|\\\[|\\\(|\$|\\boxed\s*\{|\\begin\{(align|aligned|equation|gather|array|cases|[bpvV]?matrix)(\*?)\}/g;

function renderText(element, text) {
  const budget = { formulas: MAX_FORMULAS };
  for (const part of text.split(/(^```[^\n]*\n(?:(?!```)[^\n]*\n)*```[ \t]*$)/m)) {
    if (part.startsWith("```")) element.append(el("pre", {}, el("code", {}, part)));
    else if (part) renderProse(element, part, budget);
  }
}

function renderProse(element, text, budget) {
  let done = 0;
  OPENING.lastIndex = 0;
  for (let match = OPENING.exec(text); match && budget.formulas > 0; match = OPENING.exec(text)) {
    const found = findFormula(text, match);
    if (!found) continue;
    element.append(text.slice(done, match.index), renderFormula(text.slice(match.index, found.end), found));
    budget.formulas -= 1;
    const follows = found.display && text[found.end] === "\n" ? 1 : 0;   // a formula of its own line ends that line
    done = OPENING.lastIndex = found.end + follows;
  }
  element.append(text.slice(done));
}

function findFormula(text, match) {
  const [opening, environment, star] = match;
  const start = match.index + opening.length;
  const ahead = text.slice(start, start + MAX_FORMULA);
  if (opening === "\\\\" || opening === "\\$") return null;
  if (opening === "$") return findDollar(text, start, ahead);
  if (opening.startsWith("\\boxed")) {
    const length = braced(ahead);
    return length < 0 ? null : formula(text, match.index, start + length, start + length, false);
  }
  if (environment) {
    const closing = `\\end{${environment}${star}}`;
    const length = ahead.indexOf(closing);
    const end = start + length + closing.length;
    return length < 0 ? null : formula(text, match.index, end, end, true);
  }
  const closing = { "$$": "$$", "\\[": "\\]", "\\(": "\\)" }[opening];
  const length = ahead.indexOf(closing);
  return length < 1 ? null : formula(text, start, start + length, start + length + 2, opening !== "\\(");
}

function formula(text, from, to, end, display) {
  return { tex: text.slice(from, to), end, display };
}

/* A dollar opens a formula only if it cannot be money: `$2 per egg, so $18` has none. Pandoc's rule, and no prose. */
function findDollar(text, start, ahead) {
  if (!/^[^\s$]/.test(ahead)) return null;
  const length = ahead.search(/(?<!\\)\$/);
  if (length < 1) return null;
  const tex = ahead.slice(0, length);
  const isProse = /\n\s*\n/.test(tex) || (!tex.includes("\\") && /[A-Za-z]{2,}[,.]?\s+[A-Za-z]{2,}/.test(tex));
  if (/\s$/.test(tex) || /^\d/.test(ahead.slice(length + 1)) || isProse) return null;
  return formula(text, start, start + length, start + length + 1, false);
}

/* Length up to and with the brace that closes the one before the text; -1 if there is none. */
function braced(text) {
  let depth = 1;
  for (let i = 0; i < text.length; i++) {
    if (text[i] === "\\") i += 1;
    else if (text[i] === "{") depth += 1;
    else if (text[i] === "}" && --depth === 0) return i + 1;
  }
  return -1;
}

function renderFormula(source, { tex, display }) {
  const holder = el("span", { class: display ? "formula display" : "formula", title: source.slice(0, 500) });
  try {
    temml.render(tex, holder, { displayMode: display, throwOnError: true, maxSize: [20, 500], maxExpand: 200 });
    return holder;
  } catch {
    return el("span", { class: "unparsed" }, source);
  }
}
