// The tree viewer. `Regrowth.viewer.start(root, sets)` fills the markup of viewer.html with trees; `sets` is a list of
// `TreeSet` (mcts/src/viewer/data.rs).
"use strict";

Regrowth.viewer = (() => {
  const { counted, isMixed, isWrong, hitsIn } = Regrowth.tree;
  const { Pane } = Regrowth;

  class Viewer {
    constructor(root, sets) {
      this.sets = sets;
      this.part = (name) => root.querySelector(`[data-part="${name}"]`);
      this.root = root;
      this.needle = "";
      this.panes = this.part("panes");
      this.main = new Pane(this.panes, this);
      this.fillSets();
      this.listen();
      this.setSet(sets.length - 1);
      this.setColour();
    }

    get all() {
      return [this.main, ...(this.second ? [this.second] : [])];
    }

    fillSets() {
      const options = this.sets.map((set, index) => {
        const shown = set.trees.length < set.total ? `${set.trees.length} of ${set.total}` : set.total;
        return new Option(`${set.name} (${shown})`, index);
      });
      this.part("set").replaceChildren(...options);
      this.root.querySelector(".set-label").classList.toggle("hidden", this.sets.length < 2 && this.sets[0].trees.length === this.sets[0].total);
    }

    setSet(index) {
      this.set = this.sets[index];
      this.part("set").value = index;
      this.setFilter();
    }

    // Lists the trees that pass the filter.
    setFilter() {
      const keep = {
        all: () => true,
        mixed: isMixed,
        wrong: isWrong,
        pairs: (tree) => tree.pairs.length > 0,
        found: (tree) => hitsIn(tree, this.needle).length > 0,
      }[this.part("filter").value];
      this.listed = this.set.trees.filter(keep);
      if (this.part("filter").value === "pairs") this.listed.sort((a, b) => b.pairs.length - a.pairs.length);
      const options = this.listed.map((tree, index) => {
        const solved = tree.correct ? "right" : "wrong";
        return new Option(`${index + 1} of ${this.listed.length}: ${solved}, ${counted(tree.pairs.length, "pair")}: ${tree.id}`, index);
      });
      if (!options.length) options.push(new Option("no such tree", -1));
      this.part("tree").replaceChildren(...options);
      this.main.element.classList.toggle("hidden", !this.listed.length);
      this.setTree(0);
    }

    setTree(index) {
      this.index = Math.max(0, Math.min(index, this.listed.length - 1));
      this.part("previous").disabled = this.index <= 0;
      this.part("next").disabled = this.index >= this.listed.length - 1;
      const tree = this.listed[this.index];
      if (!tree) return;
      this.part("tree").value = this.index;
      this.main.show(tree, this.label(tree, this.set));
      this.fillBeside(tree);
      this.search();
    }

    label(tree, set) {
      return this.sets.length > 1 ? `${tree.id}, ${set.name}` : tree.id;
    }

    // Lists the other trees of the same problem, which can be shown beside this one.
    fillBeside(tree) {
      const others = this.sets.flatMap((set, index) =>
        set.trees.filter((other) => other !== tree && other.id === tree.id && set !== this.set).map(() => new Option(set.name, index)),
      );
      const none = new Option(others.length ? "nothing" : "no other tree of this problem", -1);
      this.part("beside").replaceChildren(none, ...others);
      this.part("beside").disabled = !others.length;
      const kept = others.some((option) => option.value === this.besideSet) ? this.besideSet : "-1";
      this.part("beside").value = kept;
      this.setBeside(kept);
    }

    setBeside(value) {
      this.besideSet = value;
      const set = this.sets[Number(value)];
      this.second?.element.remove();
      this.second = undefined;
      this.panes.classList.toggle("two", Boolean(set));
      if (!set) return;
      const tree = set.trees.find((other) => other.id === this.listed[this.index].id);
      this.second = new Pane(this.panes, this);
      this.second.show(tree, this.label(tree, set));
      // The tree of the earlier set goes on the left.
      if (Number(value) < this.sets.indexOf(this.set)) this.panes.prepend(this.second.element);
    }

    setColour() {
      const by = this.part("colour").value;
      for (const name of ["q", "verdict", "none"]) this.panes.classList.toggle(`colour-${name}`, name === by);
    }

    // ---- search, also in folded steps

    search() {
      this.needle = this.part("search").value.trim().toLowerCase();
      const tree = this.listed[this.index];
      this.hits = tree ? hitsIn(tree, this.needle) : [];
      this.hit = -1;
      // Unfold all matches, at most 500.
      if (tree) this.main.reveal(this.hits.slice(0, 500));
      if (this.second) this.second.reveal(hitsIn(this.second.tree, this.needle).slice(0, 500));
      if (this.hits.length) this.toHit(1);
      else this.sayHits();
    }

    toHit(by) {
      if (!this.hits.length) return;
      this.hit = (this.hit + by + this.hits.length) % this.hits.length;
      const id = this.hits[this.hit];
      if (!this.main.rowOf.has(id)) this.main.reveal([id]);
      this.main.select(id);
      this.sayHits();
    }

    sayHits() {
      const others = this.needle ? this.set.trees.filter((tree) => hitsIn(tree, this.needle).length).length : 0;
      const here = this.hits.length ? `${this.hit + 1} of ${this.hits.length} here` : "none here";
      this.part("hits").textContent = this.needle ? `${here}; in ${counted(others, "tree")}` : "";
      for (const name of ["hit-previous", "hit-next"]) this.part(name).disabled = this.hits.length < 2;
    }

    // ---- events

    listen() {
      const on = (name, event, action) => this.part(name).addEventListener(event, action);
      on("set", "change", (e) => this.setSet(Number(e.target.value)));
      on("filter", "change", () => this.setFilter());
      on("tree", "change", (e) => this.setTree(Number(e.target.value)));
      on("previous", "click", () => this.setTree(this.index - 1));
      on("next", "click", () => this.setTree(this.index + 1));
      on("beside", "change", (e) => this.setBeside(e.target.value));
      on("colour", "change", () => this.setColour());
      on("expand", "click", () => this.all.forEach((pane) => pane.setAll(true)));
      on("fold", "click", () => this.all.forEach((pane) => pane.setAll(false)));
      on("path", "click", () => this.all.forEach((pane) => pane.setAll("path")));
      on("hit-next", "click", () => this.toHit(1));
      on("hit-previous", "click", () => this.toHit(-1));
      let timer;
      on("search", "input", () => {
        clearTimeout(timer);
        timer = setTimeout(() => (this.part("filter").value === "found" ? this.setFilter() : this.search()), 150);
      });
      on("search", "keydown", (e) => e.key === "Enter" && this.toHit(e.shiftKey ? -1 : 1));
      this.root.addEventListener("keydown", (event) => this.pressed(event));
    }

    pressed(event) {
      if (event.target.matches("input, select") || event.ctrlKey || event.metaKey || event.altKey) return;
      const actions = {
        "/": () => this.part("search").focus(),
        n: () => this.setTree(this.index + 1),
        p: () => this.setTree(this.index - 1),
        e: () => this.all.forEach((pane) => pane.setAll(true)),
        f: () => this.all.forEach((pane) => pane.setAll(false)),
      };
      if (!actions[event.key]) return;
      event.preventDefault();
      actions[event.key]();
      const row = this.main.rowOf.get(this.main.selected);
      if (event.key !== "/") row?.focus();
    }

    // Shows a step of a tree. Returns whether the page contains that tree.
    open(setName, id, step) {
      const setIndex = this.sets.findIndex((set) => set.name === setName && set.trees.some((tree) => tree.id === id));
      if (setIndex < 0) return false;
      this.part("filter").value = "all";
      this.part("search").value = "";
      this.setSet(setIndex);
      this.setTree(this.listed.findIndex((tree) => tree.id === id));
      if (step !== undefined) {
        this.main.reveal([step]);
        this.main.select(step, true);
      }
      return true;
    }
  }

  return { start: (root, sets) => (sets.length ? new Viewer(root, sets) : undefined) };
})();
