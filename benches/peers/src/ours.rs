//! This project on the synthetic game.

use regrowth_mcts::{
    BackupWeights, Edge, Evaluator, FirstPlay, Selection, SelectionRule, Tree, grow_shared,
};

use crate::game::State;

struct Game;

impl Evaluator for Game {
    type State = State;

    fn root(&self) -> State {
        State::root()
    }

    fn follow(&self, state: &mut State, step: usize) {
        *state = state.child(step);
    }

    fn expand(&self, state: &State, edges: &mut Vec<Edge>) -> f64 {
        if !state.is_over() {
            let edge = |prior| Edge { prior, reward: 0.0, terminal: false };
            edges.extend(state.priors().map(edge));
        }
        state.value()
    }
}

/// Grows a fresh tree.
pub fn run(simulations: u64, threads: usize, weights: BackupWeights) {
    let rule = SelectionRule { selection: Selection::Puct, c: 1.5, first_play: FirstPlay::Own };
    let mut tree = Tree::new(1.0, weights);
    grow_shared(&mut tree, &Game, rule, simulations, threads);
    assert_eq!(tree.visits(0), simulations);
}
