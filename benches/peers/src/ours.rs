//! This project on the synthetic game.

use regrowth_mcts::config::{BackupWeights, FirstPlay, Selection};
use regrowth_mcts::select::SelectionRule;
use regrowth_mcts::tree::{Edge, Evaluator, GrowOptions, Tree, grow_shared};

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
            let edge = |prior| Edge { prior: prior as f32, reward: 0.0, terminal: false };
            edges.extend(state.priors().map(edge));
        }
        state.value()
    }
}

/// A tree that is grown again and again.
pub fn tree(weights: BackupWeights) -> Tree {
    Tree::new(1.0, weights)
}

/// Grows the tree from its root, reusing the memory that it has allocated. The peers' allocator also
/// keeps the memory of their trees.
pub fn run(tree: &mut Tree, simulations: u64, options: GrowOptions) {
    let rule = SelectionRule { selection: Selection::Puct, c: 1.5, first_play: FirstPlay::Own };
    tree.clear();
    grow_shared(tree, &Game, rule, simulations, options);
    assert_eq!(tree.visits(0), simulations);
}
