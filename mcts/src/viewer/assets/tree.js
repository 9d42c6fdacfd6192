// Derives data from a tree in the format of `TreeView` (mcts/src/viewer/data.rs), and shows the text of a step. Text
// of models and problems is always inserted as text, never as markup.
"use strict";
window.Regrowth = window.Regrowth || {};

Regrowth.tree = (() => {
  // ---- small helpers -------------------------------------------------------------------------

  // Makes an element with a class; children are elements or text.
  function make(tag, className, ...children) {
    const element = document.createElement(tag);
    if (className) element.className = className;
    element.append(...children);
    return element;
  }

  const signed = (value, digits = 2) => (value < 0 ? "\u2212" : "+") + Math.abs(value).toFixed(digits);
  const counted = (n, one, many = one + "s") => `${n.toLocaleString("en")} ${n === 1 ? one : many}`;
  const textOf = (node) => node.text.join("");

  // ---- data derived from a tree --------------------------------------------------------------

  // Children, depths, solutions below each node, and sides of pairs; computed once per tree.
  function derive(tree) {
    if (tree.derived) return tree.derived;
    const nodes = tree.nodes;
    const children = nodes.map(() => []);
    const depth = nodes.map(() => 0);
    nodes.forEach((node, id) => {
      if (node.parent === undefined) return;
      children[node.parent].push(id);
      depth[id] = depth[node.parent] + 1;
    });
    const solutions = nodes.map(() => 0);
    const right = nodes.map(() => 0);
    // Children come after their parents, so a loop from the end reaches them first.
    for (let id = nodes.length - 1; id >= 0; id--) {
      const { end, parent } = nodes[id];
      if (end && end.verdict !== "unknown") {
        solutions[id] += 1;
        right[id] += end.verdict === "right" ? 1 : 0;
      }
      if (parent !== undefined) {
        solutions[parent] += solutions[id];
        right[parent] += right[id];
      }
    }
    const sides = new Map();
    const add = (id, side) => sides.set(id, [...(sides.get(id) || []), side]);
    for (const pair of tree.pairs) {
      add(pair.chosen, { side: "chosen", other: pair.rejected, pair });
      add(pair.rejected, { side: "rejected", other: pair.chosen, pair });
    }
    const largestQ = nodes.reduce((most, node) => Math.max(most, Math.abs(node.q)), 1e-9);
    const committed = new Set(tree.committed);
    tree.derived = { children, depth, solutions, right, sides, committed, largestQ };
    return tree.derived;
  }

  const isMixed = (tree) => {
    const { solutions, right } = derive(tree);
    return right[0] > 0 && right[0] < solutions[0];
  };
  const isWrong = (tree) => {
    const { solutions, right } = derive(tree);
    return solutions[0] > 0 && right[0] === 0;
  };
  const hitsIn = (tree, needle) => {
    const hits = [];
    if (needle) tree.nodes.forEach((node, id) => textOf(node).toLowerCase().includes(needle) && hits.push(id));
    return hits;
  };

  // ---- text of a step ------------------------------------------------------------------------

  // Appends text. Marks the searched words; pieces without them get their formulas rendered. Every second piece is a
  // false equation.
  function appendText(element, pieces, needle) {
    pieces.forEach((piece, index) => {
      let target = element;
      if (index % 2 === 1) {
        target = make("span", "false-equation");
        target.title = "This equation does not hold";
        element.append(target);
      }
      const lower = piece.toLowerCase();
      if (!needle || !lower.includes(needle)) {
        Regrowth.mathematics.append(target, piece);
        return;
      }
      let done = 0;
      for (let at = lower.indexOf(needle); at >= 0; at = lower.indexOf(needle, done)) {
        target.append(piece.slice(done, at), make("mark", "", piece.slice(at, at + needle.length)));
        done = at + needle.length;
      }
      target.append(piece.slice(done));
    });
  }

  return { make, signed, counted, textOf, derive, isMixed, isWrong, hitsIn, appendText };
})();
