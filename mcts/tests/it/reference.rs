//! The search of the method, written a second time from its description: serial, over a plain vector,
//! with none of the library's search, statistics or selection code.
//!
//! [`grow`] is what the library's trees are compared with in `golden.rs`. It has the serial tree search
//! with its priors, backups, depth limits, commits and values (arXiv:2405.00451, section 2.1, and the
//! switches of the authors' code); what it lacks is listed there and has stored trees instead.

use std::sync::Arc;

use regrowth_datasets::{Problem, TokenId, stream_key};
use regrowth_mcts::{
    BackupWeights, CommitRecord, CommitRule, DepthLimit, FirstPlay, JudgeForm, NodeRecord,
    PriorRule, SearchConfig, Selection, TREE_VERSION, TreeRecord, VisitSpread, similarity,
};
use regrowth_policy::{
    Boundary, Candidate, Judge, Policy, Propose, Request, Response, Restated, call,
};
use regrowth_verifiers::Verifier;

/// A node, its row, and what its row leaves out.
struct Node {
    row: NodeRecord,
    children: Vec<usize>,
    /// Index among the siblings at each depth.
    path: Vec<String>,
    /// Prompt and steps up to here, as tokens; the steps as text.
    ids: Vec<TokenId>,
    solution: String,
    /// R(s).
    value: f64,
}

/// The search of one tree.
struct Search<'a> {
    policy: &'a dyn Policy,
    verifier: &'a dyn Verifier,
    problem: &'a Problem,
    config: &'a SearchConfig,
    prompt_tokens: usize,
    nodes: Vec<Node>,
    /// Calls of the policy for candidates and for judgements, tokens, and dropped candidates.
    counts: [u64; 4],
}

/// Grows a whole tree.
pub fn grow(
    policy: &dyn Policy,
    verifier: &dyn Verifier,
    problem: &Problem,
    config: &SearchConfig,
) -> TreeRecord {
    let prompt = policy.prompt(problem).expect("a prompt");
    let root = Node {
        row: NodeRecord { prior: 1.0, ..blank() },
        children: Vec::new(),
        path: Vec::new(),
        ids: prompt.ids.to_vec(),
        solution: String::new(),
        value: 0.0,
    };
    let prompt_tokens = prompt.ids.len();
    let mut search = Search {
        policy,
        verifier,
        problem,
        config,
        prompt_tokens,
        nodes: vec![root],
        counts: [0; 4],
    };
    let (mut committed, mut commits, mut simulations) = (Vec::new(), Vec::new(), 0);
    let mut root = 0;
    let mut budget = config.simulations * config.first_root_factor;
    while !search.nodes[root].row.terminal {
        (0..budget).for_each(|_| search.simulate(root));
        simulations += budget;
        budget = config.simulations;
        let rows = || search.nodes[root].children.iter().map(|&c| &search.nodes[c].row);
        let (q, visits) = rows().map(|row| (row.q, row.visits)).unzip();
        commits.push(CommitRecord { q, visits });
        root = search.commit(root);
        committed.push(root);
    }
    commits.retain(|_| config.commit_values);
    let end = &search.nodes[root];
    let correct = search.is_correct(&end.solution, &end.row);
    let [propose_calls, judge_calls, sampled_tokens, duplicates] = search.counts;
    let (nodes, committed) = breadth_first(search.nodes, &committed);
    TreeRecord {
        version: TREE_VERSION,
        round: 0,
        policy: policy.identity().to_owned(),
        seed: config.seed,
        oracle: config.value.oracle,
        hinted: config.value.hinted,
        timed: false,
        problem: problem.clone(),
        prompt: prompt.text,
        prompt_ids: prompt.ids.to_vec(),
        nodes,
        committed,
        commits,
        correct,
        simulations,
        propose_calls,
        judge_calls,
        score_calls: 0,
        sampled_tokens,
        duplicates,
    }
}

impl Search<'_> {
    /// Select, expand and evaluate down to the end of a solution or the limit of depth; then backup.
    fn simulate(&mut self, root: usize) {
        let mut path = vec![root];
        loop {
            let leaf = path[path.len() - 1];
            let below = (self.nodes[leaf].row.depth - self.nodes[root].row.depth) as usize;
            let most = self.config.max_depth as usize;
            let stops = match self.config.depth_limit {
                DepthLimit::Absolute => false,
                DepthLimit::Relative => below >= most,
                DepthLimit::Both => below >= most.saturating_sub(1).max(1),
            };
            if self.nodes[leaf].row.terminal || stops {
                break;
            }
            if self.nodes[leaf].children.is_empty() {
                self.expand(leaf);
            }
            path.push(self.select(leaf));
        }
        path.iter().for_each(|&node| self.nodes[node].row.visits += 1);
        // V is defined by the children's Q, so that of the roots before this one changes as well.
        let mut above = path.pop();
        while let Some(node) = above {
            self.backup(node);
            above = self.nodes[node].row.parent.map(|parent| parent as usize);
        }
    }

    /// The child with the highest score, the first of equal ones.
    fn select(&self, parent: usize) -> usize {
        let above = &self.nodes[parent].row;
        let n = above.visits as f64;
        let score = |child: usize| {
            let NodeRecord { q, prior, visits, .. } = self.nodes[child].row;
            let q = match self.config.first_play {
                FirstPlay::Fixed(value) if visits == 0 => value,
                FirstPlay::BelowParent(loss) if visits == 0 => above.v - loss,
                _ => q,
            };
            let c = self.config.c_puct;
            match self.config.selection {
                Selection::Puct => q + c * prior * n.sqrt() / (1.0 + visits as f64),
                Selection::Uct if visits == 0 => f64::INFINITY,
                Selection::Uct => q + c * (n.max(1.0).ln() / visits as f64).sqrt(),
            }
        };
        first_best(&self.nodes[parent].children, |child| [score(child), 0.0, 0.0])
    }

    /// V is a mean over the children, Q = r + gamma V.
    fn backup(&mut self, node: usize) {
        let rows = || self.nodes[node].children.iter().map(|&c| &self.nodes[c].row);
        let weight = |row: &NodeRecord| match self.config.backup_weights {
            BackupWeights::AtLeastOne => row.visits.max(1) as f64,
            BackupWeights::Visits => row.visits as f64,
            BackupWeights::Returns => panic!("the reference has no backup of returns"),
        };
        let total: f64 = rows().map(weight).sum();
        let v = rows().map(|row| weight(row) * row.q).sum::<f64>() / total.max(1.0);
        let row = &mut self.nodes[node].row;
        row.v = v;
        row.q = row.reward + self.config.gamma * v;
    }

    /// The child that becomes the next root.
    fn commit(&self, root: usize) -> usize {
        let spread = |child: usize| {
            let below = self.nodes[child].children.iter().map(|&c| self.nodes[c].row.visits as f64);
            let n = below.clone().count().max(1) as f64;
            let mean = below.clone().sum::<f64>() / n;
            match self.config.visit_spread {
                VisitSpread::Variance => below.map(|v| (v - mean).powi(2)).sum::<f64>() / n,
                VisitSpread::Range => {
                    below.clone().fold(0.0, f64::max) - below.reduce(f64::min).unwrap_or(0.0)
                }
            }
        };
        first_best(&self.nodes[root].children, |child| {
            let NodeRecord { q, v, visits, .. } = self.nodes[child].row;
            let n = visits as f64;
            match self.config.commit {
                CommitRule::SpreadVisits => [n * (1.0 + spread(child)), q, v],
                CommitRule::SpreadValue => [(q + 2.0) * (1.0 + spread(child)), n, v],
                CommitRule::Visits => [n, q, v],
                CommitRule::Value => [n.min(1.0), q, n],
                rule => panic!("the reference does not draw: {rule:?}"),
            }
        })
    }

    /// Samples the children of a node, drops doubles, judges and values the others.
    fn expand(&mut self, parent: usize) {
        let (config, above) = (self.config, &self.nodes[parent]);
        let depth = above.row.depth;
        let last = config.depth_limit != DepthLimit::Relative && depth + 1 >= config.max_depth;
        let breadth = match (depth, last, self.problem.choices.is_empty()) {
            (0, ..) => config.breadth[0],
            (_, false, _) => config.breadth[1],
            (_, true, true) => config.final_breadth,
            (_, true, false) => config.final_breadth_choice,
        };
        let left = config.max_solution_tokens - (above.ids.len() - self.prompt_tokens);
        let path = above.path.join(".");
        let key = |index: u64| {
            let name: [&[u8]; 4] =
                [b"candidate", self.problem.id.as_bytes(), path.as_bytes(), &index.to_le_bytes()];
            stream_key(config.seed, &name)
        };
        let propose = Propose {
            prefix: above.ids.clone().into(),
            keys: (0..breadth as u64).map(key).collect(),
            sampling: config.sampling,
            greedy_first: config.greedy_first,
            boundary: if last { Boundary::End } else { config.boundary.clone() },
            stop_at: config.stop_at.clone(),
            max_tokens: if last { left } else { left.min(config.max_step_tokens) },
        };
        let Ok(Response::Candidates(sampled)) = call(self.policy, Request::Propose(propose)) else {
            panic!("no candidates");
        };
        self.counts[0] += 1;
        for candidate in sampled.candidates {
            self.counts[2] += candidate.step.ids.len() as u64;
            self.add(parent, candidate, last, left);
        }
    }

    fn add(&mut self, parent: usize, candidate: Candidate, last: bool, left: usize) {
        let (config, above, step) = (self.config, &self.nodes[parent], candidate.step);
        let repeats = |&other: &usize| {
            let other = &self.nodes[other].row;
            other.ids == step.ids
                || config.similarity.is_some_and(|most| similarity(&other.text, &step.text) > most)
        };
        if above.children.iter().any(repeats) {
            self.counts[3] += 1;
            return;
        }
        let length = (step.ids.len() as f64).powf(config.prior_lambda);
        let sum: f64 = step.logps.iter().map(|&l| f64::from(l)).sum();
        let solution = format!("{}{}", above.solution, step.text);
        let mut row = NodeRecord {
            parent: Some(parent as u32),
            depth: above.row.depth + 1,
            logps_exact: candidate.logps_exact,
            finish: Some(step.finish),
            terminal: last
                || step.finish != regrowth_datasets::Finish::Boundary
                    && step.finish != regrowth_datasets::Finish::Length
                || step.ids.len() >= left
                || self.verifier.states_answer_finished(self.problem, &step.text, step.finish),
            prior: match config.prior {
                PriorRule::LengthRoot => (sum / length).exp(),
                PriorRule::LengthDivided => sum.exp() / length,
            },
            text: step.text,
            ids: step.ids,
            logps: step.logps,
            ..blank()
        };
        if config.value.self_evaluation {
            row.self_evaluation = self.judge(above, &row, &solution);
        }
        if row.terminal && config.value.oracle {
            row.outcome = self.outcome(&solution, &row);
        }
        let above = &self.nodes[parent];
        let value = row.outcome + self.confidence(above, row.self_evaluation);
        row.reward = value - above.value;
        row.q = row.reward;
        let path = [above.path.as_slice(), &[above.children.len().to_string()]].concat();
        let ids = [above.ids.as_slice(), &row.ids].concat();
        self.counts[1] += u64::from(config.value.self_evaluation);
        let child = self.nodes.len();
        self.nodes[parent].children.push(child);
        self.nodes.push(Node { row, children: Vec::new(), path, ids, solution, value });
    }

    /// The policy's probability that the step is right.
    fn judge(&self, above: &Node, row: &NodeRecord, solution: &str) -> Option<f64> {
        let (value, problem) = (&self.config.value, self.problem);
        let restates = matches!(value.judge, JudgeForm::Restated | JudgeForm::Direction);
        assert!(restates || matches!(value.judge, JudgeForm::Question | JudgeForm::FollowUps));
        let answer = || match problem.choices.iter().find(|c| c.label == problem.answer) {
            Some(option) => format!("The answer is ({}) {}", option.label, option.text),
            None => format!("The answer is {}", problem.answer),
        };
        let judge = Judge {
            prefix: above.ids.clone().into(),
            step: Arc::from(row.ids.as_slice()),
            hint: value.hinted.then(|| problem.solution.clone().unwrap_or_else(answer)),
            order: value.order,
            restated: restates.then(|| Restated {
                question: problem.question.clone(),
                choices: problem.choices.clone(),
                solution: solution.to_owned(),
                direction: value.judge == JudgeForm::Direction,
            }),
        };
        match call(self.policy, Request::Judge(judge)) {
            Ok(Response::Judgement(judgement)) => judgement.correct,
            other => panic!("{other:?}"),
        }
    }

    /// C(s), with the parent's R in the place of a zero where that is switched on.
    fn confidence(&self, above: &Node, judged: Option<f64>) -> f64 {
        let value = &self.config.value;
        let decay = if value.depth_decay { f64::from(above.row.depth.max(4) - 3) } else { 1.0 };
        let c = match value.self_evaluation {
            true => judged.unwrap_or(value.unknown) / decay,
            false => value.unasked,
        };
        if c == 0.0 && value.inherit_zero { above.value } else { c }
    }

    /// O(s) of an end.
    fn outcome(&self, solution: &str, row: &NodeRecord) -> f64 {
        let (value, problem) = (&self.config.value, self.problem);
        if !self.is_correct(solution, row) {
            return -1.0;
        }
        if problem.choices.is_empty() {
            let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
            let own = |reference: &String| !words(reference).starts_with(&words(solution));
            let own = value.own_reasoning_bonus && problem.solution.as_ref().is_some_and(own);
            return if own { 1.25 } else { 1.0 };
        }
        match row.depth {
            _ if !value.choice_guard => 1.0,
            1 => 0.0,
            2 => 0.5,
            _ => 1.0,
        }
    }

    fn is_correct(&self, solution: &str, row: &NodeRecord) -> bool {
        let finish = row.finish.expect("not the root");
        self.verifier.verify_finished(self.problem, solution, finish).is_correct()
    }
}

/// The item with the highest key in the order of the parts, the first of equal ones.
fn first_best(items: &[usize], key: impl Fn(usize) -> [f64; 3]) -> usize {
    let better = |best: usize, next: usize| if key(next) > key(best) { next } else { best };
    items.iter().copied().reduce(better).expect("at least one child")
}

/// The rows as a file has them: siblings together, parents before children.
fn breadth_first(nodes: Vec<Node>, committed: &[usize]) -> (Vec<NodeRecord>, Vec<u32>) {
    let mut order = vec![0];
    for at in 0..nodes.len() {
        order.extend(&nodes[order[at]].children);
    }
    let place = |old: usize| order.iter().position(|&o| o == old).expect("in the tree") as u32;
    let row = |&old: &usize| {
        let row = nodes[old].row.clone();
        NodeRecord { parent: row.parent.map(|parent| place(parent as usize)), ..row }
    };
    (order.iter().map(row).collect(), committed.iter().map(|&node| place(node)).collect())
}

fn blank() -> NodeRecord {
    NodeRecord {
        parent: None,
        depth: 0,
        text: String::new(),
        ids: Vec::new(),
        logps: Vec::new(),
        logps_exact: true,
        injected: false,
        finish: None,
        terminal: false,
        prior: 0.0,
        visits: 0,
        reward: 0.0,
        q: 0.0,
        v: 0.0,
        self_evaluation: None,
        outcome: 0.0,
    }
}
