/* A list of any length of which only the visible rows exist. Rows are equally high. */

class VirtualList {
  constructor(element, rowHeight, renderRow, onOpen) {
    Object.assign(this, { element, rowHeight, renderRow, length: 0, cursor: -1 });
    this.space = el("div", { class: "space", role: "presentation" });
    element.append(this.space);
    element.addEventListener("scroll", () => this.draw(), { passive: true });
    element.addEventListener("click", (event) => {
      const row = event.target.closest("[role=option]");
      if (row) onOpen(Number(row.dataset.position));
    });
    new ResizeObserver(() => this.draw()).observe(element);
  }

  reset(length, cursor = -1) {
    this.length = length;
    this.space.style.height = `${length * this.rowHeight}px`;
    this.cursor = cursor;
    if (cursor < 0) this.element.scrollTop = 0;
    else this.reveal();
    this.draw();
  }

  moveTo(position) {
    if (this.length === 0) return;
    this.cursor = Math.min(Math.max(position, 0), this.length - 1);
    this.reveal();
    this.draw();
  }

  reveal() {
    const top = this.cursor * this.rowHeight;
    const { scrollTop, clientHeight } = this.element;
    if (top < scrollTop) this.element.scrollTop = top;
    else if (top + this.rowHeight > scrollTop + clientHeight) this.element.scrollTop = top + this.rowHeight - clientHeight;
  }

  get pageSize() {
    return Math.max(1, Math.floor(this.element.clientHeight / this.rowHeight) - 1);
  }

  draw() {
    const { scrollTop, clientHeight } = this.element;
    const first = Math.max(0, Math.floor(scrollTop / this.rowHeight) - 5);
    const last = Math.min(this.length, Math.ceil((scrollTop + clientHeight) / this.rowHeight) + 5);
    const rows = [];
    for (let position = first; position < last; position++) {
      const row = this.renderRow(position);
      row.id = `row-${position}`;
      row.style.top = `${position * this.rowHeight}px`;
      row.dataset.position = position;
      row.setAttribute("role", "option");
      row.setAttribute("aria-posinset", position + 1);
      row.setAttribute("aria-setsize", this.length);
      row.setAttribute("aria-selected", position === this.cursor);
      rows.push(row);
    }
    this.space.replaceChildren(...rows);
    if (this.cursor >= first && this.cursor < last) this.element.setAttribute("aria-activedescendant", `row-${this.cursor}`);
    else this.element.removeAttribute("aria-activedescendant");
  }
}
