// One tree on the page: its head, its rows and the details of the selected step. Only unfolded steps have rows, and
// formulas are rendered when their row is scrolled into view, so large trees open at once.
"use strict";

Regrowth.Pane = (() => {
  const { make, signed, counted, textOf, derive, appendText } = Regrowth.tree;

  const FINISHES = {
    boundary: "the end of a step; the solution continues",
    eos: "the end of the solution",
    stop: "a stop string",
    length: "the token limit",
  };
  const RULES = {
    boxed: "the last \\boxed{…}", hashes: "what follows ####", anchor: "“the answer is …”",
    whole: "the whole text", formula: "the last formula", number: "the last number",
    emphasis: "the last emphasised words", no_answer: "no answer can be read",
    cut_off: "the token limit came before an answer",
  };

  class Pane {
    constructor(host, shared) {
      this.shared = shared;
      this.head = make("div", "tree-head");
      this.rows = make("div", "rows");
      this.rows.setAttribute("role", "tree");
      this.details = make("aside", "details");
      this.details.setAttribute("aria-label", "The selected step");
      this.element = make("article", "pane", this.head, make("div", "tree-body", this.rows, this.details));
      host.append(this.element);
      this.rowOf = new Map();
      this.rows.addEventListener("click", (event) => this.clicked(event));
      this.rows.addEventListener("dblclick", (event) => this.toggle(this.idAt(event.target)));
      this.rows.addEventListener("keydown", (event) => this.pressed(event));
      this.formulas = new IntersectionObserver((seen) => this.renderFormulas(seen), { rootMargin: "300px" });
    }

    show(tree, label) {
      this.tree = tree;
      this.derived = derive(tree);
      this.open = new Set([0, ...tree.committed]);
      this.fillHead(label);
      const first = tree.committed[0] ?? this.derived.children[0][0];
      this.selected = first;
      this.redraw();
      this.fillDetails();
    }

    // Ids of the visible steps below `id`, in the order of their rows.
    visibleBelow(id) {
      const found = [];
      const waiting = this.open.has(id) ? [...this.derived.children[id]].reverse() : [];
      while (waiting.length) {
        const next = waiting.pop();
        found.push(next);
        if (this.open.has(next)) waiting.push(...[...this.derived.children[next]].reverse());
      }
      return found;
    }

    redraw() {
      this.formulas.disconnect();
      this.rowOf.clear();
      const rows = document.createDocumentFragment();
      for (const id of this.visibleBelow(0)) rows.append(this.row(id));
      this.rows.replaceChildren(rows);
      const count = this.derived.children[0].length;
      if (count === 0) this.rows.append(make("p", "dim", "The search made no step."));
    }

    row(id) {
      const node = this.tree.nodes[id];
      const { children, depth, sides, committed, solutions, right, largestQ } = this.derived;
      const row = make("div", "row");
      row.dataset.id = id;
      row.setAttribute("role", "treeitem");
      row.setAttribute("aria-level", depth[id]);
      row.setAttribute("aria-selected", id === this.selected);
      row.tabIndex = id === this.selected ? 0 : -1;
      const twist = make("span", "twist");
      if (children[id].length) {
        row.setAttribute("aria-expanded", this.open.has(id));
        twist.title = `${counted(children[id].length, "step")} below`;
      }
      row.style.setProperty("--depth", depth[id] - 1);
      row.style.setProperty("--q", Math.sqrt(Math.abs(node.q) / largestQ).toFixed(3));
      row.classList.add(node.q < 0 ? "q-minus" : "q-plus");
      if (solutions[id]) {
        const share = right[id] / solutions[id];
        row.style.setProperty("--sure", Math.abs(2 * share - 1).toFixed(3));
        row.classList.add(share < 0.5 ? "mostly-wrong" : "mostly-right");
      }
      row.append(twist, make("span", "text"), this.tags(id, committed.has(id), sides.get(id)), figures(node));
      this.fillText(row, node);
      this.rowOf.set(id, row);
      return row;
    }

    tags(id, isCommitted, sides) {
      const tags = make("span", "tags");
      const add = (name, title) => {
        const tag = make("span", `tag ${name}`, name);
        tag.title = title;
        tags.append(tag);
      };
      if (isCommitted) add("committed", "The search committed to this step and continued below it");
      for (const side of new Set((sides || []).map((s) => s.side))) add(side, "A side of a preference pair");
      const { end, injected } = this.tree.nodes[id];
      if (injected) add("injected", "Taken from the reference solution");
      if (end) add(end.verdict, "The solution ends here: verdict of the verifier");
      return tags;
    }

    fillText(row, node) {
      const text = row.querySelector(".text");
      const needle = this.shared.needle;
      const marked = needle && textOf(node).toLowerCase().includes(needle);
      if (!marked && typeof katex !== "undefined" && Regrowth.mathematics.suspects(textOf(node))) {
        text.textContent = textOf(node);
        this.formulas.observe(text);
      } else {
        appendText(text, node.text, needle);
      }
      if (!textOf(node).trim()) text.append(make("span", "dim", "(no text)"));
    }

    renderFormulas(seen) {
      for (const { isIntersecting, target } of seen) {
        if (!isIntersecting) continue;
        this.formulas.unobserve(target);
        const node = this.tree.nodes[Number(target.closest(".row").dataset.id)];
        target.textContent = "";
        appendText(target, node.text, "");
      }
    }

    // ---- folding and moving

    setOpen(id, open) {
      if (!this.derived.children[id].length || this.open.has(id) === open) return;
      const row = this.rowOf.get(id);
      if (open) {
        this.open.add(id);
        const below = document.createDocumentFragment();
        for (const child of this.visibleBelow(id)) below.append(this.row(child));
        row.after(below);
      } else {
        for (const child of this.visibleBelow(id)) {
          this.rowOf.get(child).remove();
          this.rowOf.delete(child);
        }
        this.open.delete(id);
        if (!this.rowOf.has(this.selected)) this.select(id);
      }
      row.setAttribute("aria-expanded", open);
    }

    toggle(id) {
      if (id !== undefined) this.setOpen(id, !this.open.has(id));
    }

    setAll(open) {
      const path = this.tree.committed;
      this.open = new Set(open === "path" ? [0, ...path] : open ? this.tree.nodes.keys() : [0]);
      if (open !== true && !this.visibleBelow(0).includes(this.selected)) {
        this.selected = path[0] ?? this.derived.children[0][0];
        this.fillDetails();
      }
      this.redraw();
    }

    // Unfolds all steps above the given steps.
    reveal(ids) {
      for (const id of ids) {
        for (let at = this.tree.nodes[id].parent; at !== undefined; at = this.tree.nodes[at].parent) this.open.add(at);
      }
      this.redraw();
    }

    select(id, focus = false) {
      const before = this.rowOf.get(this.selected);
      if (before) {
        before.tabIndex = -1;
        before.setAttribute("aria-selected", false);
      }
      this.selected = id;
      const row = this.rowOf.get(id);
      row.tabIndex = 0;
      row.setAttribute("aria-selected", true);
      row.scrollIntoView({ block: "nearest" });
      if (focus) row.focus({ preventScroll: true });
      this.fillDetails();
    }

    idAt(target) {
      const row = target.closest?.(".row");
      return row ? Number(row.dataset.id) : undefined;
    }

    clicked(event) {
      const id = this.idAt(event.target);
      if (id === undefined) return;
      if (event.target.closest(".twist")) this.toggle(id);
      this.select(id, true);
    }

    pressed(event) {
      const id = this.selected;
      const node = this.tree.nodes[id];
      const row = this.rowOf.get(id);
      if (!row || event.ctrlKey || event.metaKey || event.altKey) return;
      const go = (to) => to && this.select(Number(to.dataset.id), true);
      const isOpen = this.open.has(id) && this.derived.children[id].length > 0;
      const actions = {
        ArrowDown: () => go(row.nextElementSibling),
        ArrowUp: () => go(row.previousElementSibling),
        ArrowRight: () => (isOpen ? go(row.nextElementSibling) : this.setOpen(id, true)),
        ArrowLeft: () => (isOpen ? this.setOpen(id, false) : go(this.rowOf.get(node.parent))),
        Home: () => go(this.rows.firstElementChild),
        End: () => go(this.rows.lastElementChild),
        Enter: () => this.toggle(id),
        " ": () => this.toggle(id),
        "*": () => this.openAllBelow(id),
      };
      if (!actions[event.key]) return;
      event.preventDefault();
      event.stopPropagation();
      actions[event.key]();
    }

    openAllBelow(id) {
      const waiting = [id];
      while (waiting.length) {
        const next = waiting.pop();
        this.open.add(next);
        waiting.push(...this.derived.children[next]);
      }
      this.redraw();
      this.select(id, true);
    }

    // ---- head and details

    fillHead(label) {
      const { tree, derived } = this;
      const question = make("p", "question");
      Regrowth.mathematics.append(question, tree.question);
      const choices = tree.choices.map((c) => make("li", "", `(${c.label}) ${c.text}`));
      const facts = [
        `Committed solution ${tree.correct ? "right" : "wrong"}`,
        `${derived.right[0]} of ${counted(derived.solutions[0], "solution")} right`,
        counted(tree.pairs.length, "pair"),
        counted(tree.nodes.length - 1, "step"),
        counted(tree.simulations, "simulation"),
      ];
      const cost = [
        `${counted(tree.sampled_tokens, "token")} sampled after a prompt of ${counted(tree.prompt_tokens, "token")}`,
        counted(tree.propose_calls, "request for steps", "requests for steps"),
        counted(tree.judge_calls, "judgement"),
        counted(tree.duplicates, "duplicate") + " dropped",
      ];
      const reference = tree.reference ? `Reference answer: ${tree.reference}` : "No reference answer";
      const seen = tree.oracle ? " (used by the search to verify solutions)" : "";
      this.head.replaceChildren(
        make("h3", "", label),
        question,
        ...(choices.length ? [make("ul", "choices", ...choices)] : []),
        make("p", "small", make("b", "", reference), seen),
        make("p", "small", facts.join(" · ")),
        make("p", "small dim", `Cost: ${cost.join(" · ")}. Policy ${tree.policy}.`),
      );
      const dropped = Object.entries(tree.dropped);
      if (dropped.length) {
        const words = dropped.map(([why, n]) => `${why} (${n})`).join("; ");
        this.head.append(make("p", "small dim", `Steps or trees that gave no pair: ${words}.`));
      }
      if (tree.solution) {
        const solution = make("p", "reference-solution");
        Regrowth.mathematics.append(solution, tree.solution);
        this.head.append(make("details", "small", make("summary", "", "Reference solution"), solution));
      }
    }

    fillDetails() {
      const id = this.selected;
      if (id === undefined) {
        this.details.replaceChildren();
        return;
      }
      const node = this.tree.nodes[id];
      const text = make("p", "whole-text");
      appendText(text, node.text, this.shared.needle);
      const list = make("dl", "");
      for (const [name, value, meaning] of this.explained(id, node)) {
        list.append(make("div", "", make("dt", "", name, " ", make("b", "", value)), make("dd", "small dim", meaning)));
      }
      this.details.replaceChildren(
        make("h4", "", `Step ${this.derived.depth[id]} of this path`),
        text,
        list,
        ...(this.derived.sides.get(id) || []).map((side) => this.pairNote(side)),
      );
    }

    // Name, value and meaning of each figure of a step.
    explained(id, node) {
      const { solutions, right } = this.derived;
      const rows = [
        ["Q", signed(node.q, 3), `Value of this step and of what follows: reward ${signed(node.reward, 3)} plus value ${signed(node.v, 3)} of the state after the step.`],
        ["Visits", node.visits, "Simulations that went through this step."],
        ["Prior", node.prior.toFixed(3), "Probability under the policy, normalised by length; it guides the search while there are few visits."],
      ];
      if (node.self_evaluation !== undefined) {
        rows.push(["Self-evaluation", node.self_evaluation.toFixed(3), "The judge's probability that the step is right."]);
      }
      for (const finding of node.findings || []) {
        rows.push(["Verifier command", finding, "Verdict, score and trace of the verifier command."]);
      }
      if (solutions[id] && !node.end) {
        rows.push(["Solutions below", `${right[id]} of ${solutions[id]} right`, "By the verifier."]);
      }
      if (node.end) rows.push(this.verdict(node.end));
      const mean = node.tokens ? `; log-probability ${signed(node.logp)}, ${signed(node.logp / node.tokens, 3)} per token` : "";
      rows.push(["Tokens", node.tokens, `Ended by ${FINISHES[node.finish] || "nothing"}${mean}.`]);
      return rows;
    }

    verdict(end) {
      const rule = RULES[end.rule] || end.rule;
      const read = end.answer ? `The verifier read “${end.answer}” by the rule “${rule}”` : `The verifier read nothing: ${rule}`;
      const against = this.tree.reference ? `; the reference is “${this.tree.reference}”` : "";
      const why = end.reason ? `; undecided: ${end.reason}` : "";
      return ["Verdict", end.verdict, `${read}${against}${why}. Outcome in the value: ${signed(end.outcome, 0)}.`];
    }

    pairNote({ side, other, pair }) {
      const button = make("button", "", side === "chosen" ? "Go to the rejected step" : "Go to the chosen step");
      button.type = "button";
      button.addEventListener("click", () => {
        this.reveal([other]);
        this.select(other, true);
      });
      const verb = side === "chosen" ? "Chosen over" : "Rejected for";
      const text = `${verb} “${textOf(this.tree.nodes[other]).slice(0, 160)}”: margin ${pair.margin.toFixed(2)}, label smoothing ${pair.alpha.toFixed(2)}.`;
      return make("div", "pair-note small", make("p", "", make("span", `tag ${side}`, side), " ", text), button);
    }
  }

  // The figures of a row: the same as in the details, explained on hover.
  function figures(node) {
    const cell = (name, value, title) => {
      const element = make("span", "", name + "\u00a0" + value);
      element.title = title;
      return element;
    };
    const cells = [
      cell("Q", signed(node.q), "Q: value of the step with what follows it; higher is better"),
      cell("N", node.visits, "Visits: simulations through the step"),
      cell("p", node.prior.toFixed(2), "Prior: length-normalised probability under the policy"),
    ];
    if (node.self_evaluation !== undefined) {
      cells.push(cell("C", node.self_evaluation.toFixed(2), "Self-evaluation: the judge's probability that the step is right"));
    }
    return make("span", "figures", ...cells);
  }

  return Pane;
})();
