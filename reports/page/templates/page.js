/* Small tools of all scripts. Texts become text nodes, never markup. */

function el(tag, attributes = {}, ...children) {
  const found = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) found.addEventListener(name.slice(2), value);
    else if (value !== null && value !== false) found.setAttribute(name, value === true ? "" : value);
  }
  found.append(...children.filter((child) => child !== null));
  return found;
}

function count(number) {
  return number.toLocaleString("en-US");
}

function watchSections() {
  const links = new Map([...document.querySelectorAll("nav a")].map((link) => [link.hash.slice(1), link]));
  const visible = new Set();
  const seen = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) visible[isIntersecting ? "add" : "delete"](target.id);
    const current = [...links.keys()].find((id) => visible.has(id));
    if (current === undefined) return;
    for (const link of links.values()) link.removeAttribute("aria-current");
    links.get(current).setAttribute("aria-current", "location");
    links.get(current).closest("ul").scrollLeft = links.get(current).offsetLeft - 60;
  }, { rootMargin: "-20% 0px -75% 0px" });
  for (const id of links.keys()) seen.observe(document.getElementById(id));
}

function unfoldForPrint() {
  let folded = [];
  const set = (isOpen) => { for (const each of folded) each.open = isOpen; };
  addEventListener("beforeprint", () => { folded = [...document.querySelectorAll("details:not([open])")]; set(true); });
  addEventListener("afterprint", () => set(false));
}

watchSections();
unfoldForPrint();
