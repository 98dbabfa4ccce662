// Tables sort by a click on a head, and can be taken away as CSV.
(function () {
  "use strict";

  function key(row, column) {
    const cell = row.cells[column];
    const text = cell.dataset.sort !== undefined ? cell.dataset.sort : cell.textContent.trim();
    const number = Number(text);
    return text === "" || text === "nan" || Number.isNaN(number) ? text : number;
  }

  // Numbers by size, words by alphabet; what is missing always comes last.
  function compare(a, b, direction) {
    const missing = (value) => value === "" || value === "nan" || value === "—";
    if (missing(a) || missing(b)) return missing(a) - missing(b);
    if (typeof a === "number" && typeof b === "number") return direction * (a - b);
    return direction * String(a).localeCompare(String(b), "en", { numeric: true });
  }

  function sort(table, column) {
    const head = table.tHead.rows[0].cells[column];
    const direction = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", direction === 1 ? "ascending" : "descending");
    const body = table.tBodies[0];
    const rows = [...body.rows].sort((a, b) => compare(key(a, column), key(b, column), direction));
    body.append(...rows);
  }

  function words(node) {
    return node.textContent.replace(/\s+/g, " ").trim();
  }

  // A figure's interval gets a column of its own.
  function fields(cell, hasSpan) {
    const span = cell.querySelector(".span");
    const whole = words(cell);
    if (!hasSpan) return [whole];
    const interval = span ? words(span) : "";
    return [span ? whole.slice(0, whole.length - interval.length).trim() : whole, interval];
  }

  function csv(table) {
    const columns = [...table.tHead.rows[0].cells].map((head, index) => {
      const cells = [...table.tBodies[0].rows].map((row) => row.cells[index]);
      const skip = cells.some((cell) => cell.dataset.csvSkip !== undefined);
      const hasSpan = cells.some((cell) => cell.querySelector(".span"));
      const title = words(head);
      const second = head.classList.contains("number") ? title + " 95 % interval" : title + " (details)";
      return skip ? [] : [hasSpan ? [title, second] : [title], ...cells.map((cell) => fields(cell, hasSpan))];
    });
    const quoted = (text) => '"' + text.replaceAll('"', '""') + '"';
    const count = table.tBodies[0].rows.length + 1;
    const lines = Array.from({ length: count }, (_, line) => columns.flatMap((column) => column[line] || []).map(quoted));
    return lines.map((line) => line.join(",")).join("\r\n") + "\r\n";
  }

  function download(table) {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([csv(table)], { type: "text/csv" }));
    link.download = table.id + ".csv";
    link.click();
    URL.revokeObjectURL(link.href);
  }

  for (const table of document.querySelectorAll("table.sortable")) {
    [...table.tHead.rows[0].cells].forEach((head, column) => {
      if (!head.textContent.trim()) return;
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      button.addEventListener("click", () => sort(table, column));
      head.append(button);
    });
    const save = document.createElement("button");
    save.type = "button";
    save.className = "save";
    save.textContent = "Download CSV";
    save.setAttribute("aria-label", "Download CSV: " + words(table.caption));
    save.addEventListener("click", () => download(table));
    table.closest(".table").after(save);
  }
})();
