//! The crates `mcts` and `treant` on the synthetic game. One is a fork of the other, so one macro serves
//! both.

/// Fixed-point scale: the peers' values are integers.
const SCALE: f64 = 1e6;

macro_rules! peer {
    ($name:ident, $krate:ident) => {
        pub mod $name {
            use ::$krate::tree_policy::AlphaGoPolicy;
            use ::$krate::{Evaluator, GameState, MCTS, MCTSManager, SearchHandle};

            use super::SCALE;
            use crate::game::{BRANCHING, State};

            #[derive(Clone)]
            struct Play(State);

            impl GameState for Play {
                type Move = u8;
                type Player = ();
                type MoveList = Vec<u8>;
                fn current_player(&self) {}
                fn available_moves(&self) -> Vec<u8> {
                    if self.0.is_over() { Vec::new() } else { (0..BRANCHING as u8).collect() }
                }
                fn make_move(&mut self, step: &u8) {
                    self.0 = self.0.child(usize::from(*step));
                }
            }

            struct Values;

            impl Evaluator<Spec> for Values {
                type StateEvaluation = i64;
                fn evaluate_new_state(
                    &self,
                    state: &Play,
                    moves: &Vec<u8>,
                    _: Option<SearchHandle<Spec>>,
                ) -> (Vec<f64>, i64) {
                    let priors =
                        if moves.is_empty() { Vec::new() } else { state.0.priors().to_vec() };
                    (priors, (state.0.value() * SCALE) as i64)
                }
                fn interpret_evaluation_for_player(&self, value: &i64, _: &()) -> i64 {
                    *value
                }
                fn evaluate_existing_state(
                    &self,
                    _: &Play,
                    value: &i64,
                    _: SearchHandle<Spec>,
                ) -> i64 {
                    *value
                }
            }

            #[derive(Default)]
            struct Spec;

            impl MCTS for Spec {
                type State = Play;
                type Eval = Values;
                type NodeData = ();
                type ExtraThreadData = ();
                type TreePolicy = AlphaGoPolicy;
                type TranspositionTable = ();
            }

            /// Grows a fresh tree.
            pub fn run(simulations: u64, threads: usize) {
                let policy = AlphaGoPolicy::new(1.5 * SCALE);
                let mut search = MCTSManager::new(Play(State::root()), Spec, Values, policy, ());
                if threads == 1 {
                    search.playout_n(simulations);
                } else {
                    search.playout_n_parallel(simulations as u32, threads);
                }
            }
        }
    };
}

peer!(old, mcts);
peer!(new, treant);
