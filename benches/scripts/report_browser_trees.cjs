// Trees for report_browser.cjs, and text that a page must never interpret as markup.
"use strict";

const HOSTILE = "</script><script>window.hacked = 1</script><img src=x onerror=alert(1)> \\boxed{7} $x^2$";

function node(parent, depth, text, more = {}) {
  return {
    parent, depth, text, ids: [1, 2], logps: [-0.5, -0.25], logps_exact: true, finish: "boundary", terminal: false,
    prior: 0.5, visits: 4, reward: 0.1, q: 0.2, v: 0.1, self_evaluation: 0.5, outcome: 0, ...more,
  };
}

// A tree with `breadth` steps below each step, breadth-first, of `size` nodes; some steps are given.
function tree(id, size, breadth, texts = {}) {
  const nodes = [node(null, 0, "", { ids: [], logps: [], finish: null, self_evaluation: null })];
  for (let at = 1; at < size; at++) {
    const parent = Math.floor((at - 1) / breadth);
    nodes.push(node(parent, nodes[parent].depth + 1, texts[at] ?? `Step ${at}: 3 + 4 = ${at % 9}\n`, { q: Math.sin(at) }));
  }
  const inner = new Set(nodes.map((n) => n.parent));
  nodes.forEach((n, at) => {
    if (inner.has(at)) return;
    Object.assign(n, { terminal: true, finish: "eos", outcome: at % 2 ? 1 : -1, text: `The answer is \\boxed{${at % 2 ? 7 : 8}}.` });
  });
  return {
    version: 1, round: 1, policy: "scripted", seed: 0, oracle: true, hinted: false,
    problem: { id, source: "generic", question: `What is 3 + 4? ${texts.question ?? ""}`, answer: "7", kind: { type: "number" } },
    prompt: "What?", prompt_ids: [1], nodes, committed: [1], correct: false, simulations: 9, propose_calls: 1,
    judge_calls: 1, sampled_tokens: 9, duplicates: 0,
  };
}

module.exports = { HOSTILE, tree };
