// OpenSpiel's tree search, `MCTSBot` with PUCT, on the synthetic game of `../src/game.rs`. Reads a number of
// simulations and prints the seconds of the search. Hashes, values and priors are those of the game; there are no
// rollouts.
//
//     openspiel-search [SIMULATIONS]
//
// Without an argument, it reads a number from each line of its input, so that one process serves
// all repetitions of a run. With an argument, it also prints the shape of the tree.
//
// With the same selection rule and constant, the tree equals the one that this project grows serially, except for
// rounding and ties: a million simulations visit a million nodes, two thirds of them more than once.
// The differences:
// - A leaf is evaluated at its first visit and expanded (five children with priors) at its second; the other
//   programs do both at the first visit. So OpenSpiel makes two thirds of their expansions.
// - Siblings are shuffled when they are created, so ties are broken at random.
// - Every descent clones the root's state and replays its path, with a history of the moves.
// - The score of a child at which the game is over is its return, without an exploration term; a million
//   simulations do not reach that depth.
//
// The measured time includes freeing the tree, as for the other programs.

#include <chrono>
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "open_spiel/algorithms/mcts.h"
#include "open_spiel/spiel.h"

namespace {

using open_spiel::Action;
using open_spiel::ActionsAndProbs;
using open_spiel::GameType;
using open_spiel::Player;
using open_spiel::algorithms::ChildSelectionPolicy;
using open_spiel::algorithms::Evaluator;
using open_spiel::algorithms::MCTSBot;
using open_spiel::algorithms::SearchNode;

// Children of every state except terminal ones; number of moves until the game is over.
constexpr int kBranching = 5;
constexpr int kDepth = 30;

// The finaliser of SplitMix64 (Steele, Lea and Flood 2014).
uint64_t Mix(uint64_t hash) {
  uint64_t z = hash + 0x9e3779b97f4a7c15;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

double Unit(uint64_t hash) { return static_cast<double>(hash >> 11) / (uint64_t{1} << 53); }

// A state: a hash of the moves so far, and their number. The only player moves in every state except terminal ones.
class Position final : public open_spiel::State {
 public:
  using State::State;

  Player CurrentPlayer() const override {
    return IsTerminal() ? open_spiel::kTerminalPlayerId : Player{0};
  }
  bool IsTerminal() const override { return depth_ == kDepth; }
  std::vector<double> Returns() const override { return {IsTerminal() ? Value() : 0.0}; }
  std::unique_ptr<State> Clone() const override { return std::make_unique<Position>(*this); }

  std::vector<Action> LegalActions() const override {
    if (IsTerminal()) return {};
    return {0, 1, 2, 3, 4};
  }
  std::string ActionToString(Player, Action step) const override { return std::to_string(step); }
  std::string ToString() const override { return std::to_string(hash_); }

  double Value() const { return Unit(Mix(hash_ ^ 0xa5a5)); }

  ActionsAndProbs Priors() const {
    ActionsAndProbs priors(kBranching);
    double sum = 0;
    for (int step = 0; step < kBranching; ++step) {
      priors[step] = {step, 0.1 + Unit(Mix(hash_ ^ (step + 77)))};
      sum += priors[step].second;
    }
    for (auto& [step, prior] : priors) prior /= sum;
    return priors;
  }

 protected:
  void DoApplyAction(Action step) override {
    hash_ = Mix(hash_ + step + 1);
    ++depth_;
  }

 private:
  uint64_t hash_ = 1;
  int depth_ = 0;
};

GameType Kind() {
  GameType kind{};
  kind.short_name = kind.long_name = "synthetic";
  kind.dynamics = GameType::Dynamics::kSequential;
  kind.chance_mode = GameType::ChanceMode::kDeterministic;
  kind.information = GameType::Information::kPerfectInformation;
  kind.utility = GameType::Utility::kGeneralSum;
  kind.reward_model = GameType::RewardModel::kTerminal;
  kind.min_num_players = kind.max_num_players = 1;
  return kind;
}

class Synthetic final : public open_spiel::Game {
 public:
  Synthetic() : Game(Kind(), {}) {}

  std::unique_ptr<open_spiel::State> NewInitialState() const override {
    return std::make_unique<Position>(shared_from_this());
  }
  int NumDistinctActions() const override { return kBranching; }
  int NumPlayers() const override { return 1; }
  double MinUtility() const override { return 0; }
  double MaxUtility() const override { return 1; }
  int MaxGameLength() const override { return kDepth; }
};

// The state's own value and priors.
class Hashes final : public Evaluator {
 public:
  std::vector<double> Evaluate(const open_spiel::State& state) override {
    return {static_cast<const Position&>(state).Value()};
  }
  ActionsAndProbs Prior(const open_spiel::State& state) override {
    return static_cast<const Position&>(state).Priors();
  }
};

// Runs one search. A memory limit of 0 means no limit, so nothing is pruned. Solved states are not
// backed up, because that would end the search early.
MCTSBot Bot(const Synthetic& game, int simulations) {
  return {game, std::make_shared<Hashes>(), /*uct_c=*/1.5, simulations, /*max_memory_mb=*/0,
          /*solve=*/false, /*seed=*/1, /*verbose=*/false, ChildSelectionPolicy::PUCT};
}

// Counts over the finished tree.
struct Shape {
  int64_t visited = 0;   // nodes at which a simulation has ended
  int64_t expanded = 0;  // those with children
  int64_t repeats = 0;   // simulations that ended at a terminal node that had been visited before
  int64_t steps = 0;     // length of all paths from the root, summed over simulations
};

void Measure(const SearchNode& node, int depth, Shape& shape) {
  if (node.explore_count == 0) return;
  shape.visited += 1;
  shape.expanded += !node.children.empty();
  shape.repeats += depth == kDepth ? node.explore_count - 1 : 0;
  shape.steps += depth > 0 ? node.explore_count : 0;
  for (const SearchNode& child : node.children) Measure(child, depth + 1, shape);
}

// Ends the program unless all simulations were run and each ended at a new node, except at the end of
// the game.
Shape Check(const SearchNode& root, int simulations) {
  Shape shape;
  Measure(root, 0, shape);
  const bool made = simulations > 0 && root.explore_count == simulations;
  if (!made || shape.visited + shape.repeats != simulations) {
    std::fprintf(stderr, "%d simulations asked for, %d made, %" PRId64 " nodes visited\n",
                 simulations, root.explore_count, shape.visited);
    std::exit(1);
  }
  return shape;
}

struct Grown {
  double seconds;
  Shape shape;
};

double Seconds(std::chrono::steady_clock::time_point since) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - since).count();
}

// Grows a new tree and frees it; in between, outside the measured time, checks it.
Grown Grow(const Synthetic& game, int simulations) {
  auto bot = Bot(game, simulations);
  const auto state = game.NewInitialState();
  const auto start = std::chrono::steady_clock::now();
  auto root = bot.MCTSearch(*state);
  const double grown = Seconds(start);
  const Shape shape = Check(*root, simulations);
  const auto end = std::chrono::steady_clock::now();
  root.reset();
  return {grown + Seconds(end), shape};
}

Shape Turn(const Synthetic& game, int simulations) {
  const Grown grown = Grow(game, simulations);
  std::printf("%.9f\n", grown.seconds);
  std::fflush(stdout);
  return grown.shape;
}

void Tell(const Shape& shape) {
  std::fprintf(stderr, "%" PRId64 " nodes visited, %" PRId64 " expanded, mean depth %.1f\n",
               shape.visited, shape.expanded,
               static_cast<double>(shape.steps) / (shape.visited + shape.repeats));
}

}  // namespace

int main(int argc, char** argv) {
  const auto game = std::make_shared<const Synthetic>();
  if (argc > 1) {
    Tell(Turn(*game, std::atoi(argv[1])));
    return 0;
  }
  for (int simulations; std::cin >> simulations;) Turn(*game, simulations);
}
