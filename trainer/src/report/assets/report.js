// The report of a run: draws the curves, renders formulas in texts, and starts the tree viewer.
"use strict";

Regrowth.report = (() => {
  const read = (id) => JSON.parse(document.getElementById(id).textContent);

  // Renders the formulas in questions, solutions and steps.
  function renderFormulas() {
    if (typeof katex === "undefined") return;
    for (const element of document.querySelectorAll(".text")) {
      const text = element.textContent;
      if (element.closest(".viewer") || !Regrowth.mathematics.suspects(text)) continue;
      element.textContent = "";
      Regrowth.mathematics.append(element, text);
    }
  }

  function startViewer() {
    const root = document.querySelector(".viewer");
    const viewer = root && Regrowth.viewer.start(root, read("trees-data"));
    for (const button of document.querySelectorAll("[data-open-tree]")) {
      button.addEventListener("click", () => {
        if (!viewer?.open(button.dataset.openRound, button.dataset.openTree)) return;
        root.scrollIntoView();
        root.querySelector(".row")?.focus();
      });
    }
  }

  // Marks tables that are wider than their container, so that the page can say that they continue.
  function markWideTables() {
    const mark = ({ target }) => {
      const place = target.closest(".scroll");
      place.classList.toggle("overflowing", place.scrollWidth > place.clientWidth + 1);
    };
    const resized = new ResizeObserver((entries) => entries.forEach(mark));
    for (const place of document.querySelectorAll(".scroll")) {
      resized.observe(place);
      resized.observe(place.firstElementChild);
    }
  }

  // Unfolds problems for printing.
  function openForPrint() {
    let closed = [];
    addEventListener("beforeprint", () => {
      closed = [...document.querySelectorAll(".problem:not([open])")];
      closed.forEach((element) => (element.open = true));
    });
    addEventListener("afterprint", () => closed.forEach((element) => (element.open = false)));
  }

  Regrowth.charts.start(document, read("charts-data"));
  renderFormulas();
  startViewer();
  markWideTables();
  openForPrint();
  // On a small screen, the table of contents is above the result, so it starts folded.
  if (innerWidth < 600) document.querySelector(".contents details").open = false;
})();
