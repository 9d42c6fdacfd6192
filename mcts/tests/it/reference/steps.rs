//! Expansion and values of the reference search: sampling of the steps below a node, and the value of a step.

use std::sync::Arc;

use regrowth_datasets::{Finish, stream_key};
use regrowth_mcts::config::{DepthLimit, JudgeForm, PriorRule};
use regrowth_mcts::record::NodeRecord;
use regrowth_mcts::similar::similarity;
use regrowth_policy::{Boundary, Candidate, Judge, Propose, Request, Response, Restated, call};

use super::{Node, Search};

impl Search<'_> {
    /// Samples the children of a node, drops duplicates, and judges and values the others.
    pub(super) fn expand(&mut self, parent: usize) {
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
                || matches!(step.finish, Finish::Eos | Finish::Stop)
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

    /// The judge's probability that the step is right.
    fn judge(&self, above: &Node, row: &NodeRecord, solution: &str) -> Option<f64> {
        let (value, problem) = (&self.config.value, self.problem);
        let restates = matches!(value.judge, JudgeForm::Restated | JudgeForm::Direction);
        assert!(
            restates
                || matches!(
                    value.judge,
                    JudgeForm::Question | JudgeForm::Graded | JudgeForm::FollowUps
                )
        );
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
            grades: (value.judge == JudgeForm::Graded).then(|| value.grades.clone().into()),
        };
        match call(self.policy, Request::Judge(judge)) {
            Ok(Response::Judgement(judgement)) => judgement.correct,
            other => panic!("{other:?}"),
        }
    }

    /// C(s); a zero is replaced by the parent's R if `inherit_zero` is set.
    fn confidence(&self, above: &Node, judged: Option<f64>) -> f64 {
        let value = &self.config.value;
        let decay = if value.depth_decay { f64::from(above.row.depth.max(4) - 3) } else { 1.0 };
        let c = match value.self_evaluation {
            true => judged.unwrap_or(value.unknown) / decay,
            false => value.unasked,
        };
        if c == 0.0 && value.inherit_zero { above.value } else { c }
    }

    /// O(s) of a terminal node.
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

    pub(super) fn is_correct(&self, solution: &str, row: &NodeRecord) -> bool {
        let finish = row.finish.expect("not the root");
        self.verifier.verify_finished(self.problem, solution, finish).is_correct()
    }
}

/// A row without a step.
pub(super) fn blank() -> NodeRecord {
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
        findings: Vec::new(),
        hidden_state: None,
    }
}
