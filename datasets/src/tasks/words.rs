//! The closed word lists of the built-in tasks, and small helpers for random draws.
//!
//! The lists are short on purpose: a model of half a million parameters learns to bind a word to its
//! clause only after seeing the word often.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// First names with their pronouns.
pub(super) const PEOPLE: [(&str, &str); 8] = [
    ("Anna", "She"),
    ("Ben", "He"),
    ("Cara", "She"),
    ("Dan", "He"),
    ("Eva", "She"),
    ("Finn", "He"),
    ("Mia", "She"),
    ("Tom", "He"),
];

/// Things that people own, buy and lose.
pub(super) const OBJECTS: [&str; 10] =
    ["apples", "books", "cards", "cups", "eggs", "nuts", "pens", "shells", "stones", "toys"];

/// First names without pronouns: the people to whom animals are lent.
pub(super) const NAMES: [&str; 8] = ["Anna", "Ben", "Cara", "Dan", "Eva", "Finn", "Mia", "Tom"];

/// Animals, which are lent to somebody, given food and found a home.
pub(super) const ANIMALS: [&str; 8] =
    ["bears", "crows", "ducks", "foxes", "frogs", "goats", "mice", "owls"];

/// Foods, which are given to animals and grow somewhere.
pub(super) const FOODS: [&str; 8] =
    ["beans", "berries", "figs", "herbs", "leaves", "plums", "roots", "seeds"];

/// Places where animals live and food grows.
pub(super) const PLACES: [&str; 8] =
    ["barns", "caves", "deserts", "fields", "forests", "gardens", "parks", "valleys"];

/// Qualities of places.
pub(super) const QUALITIES: [&str; 8] =
    ["cold", "dark", "dry", "hot", "quiet", "sunny", "wet", "windy"];

/// Labels of the options of a multiple-choice problem.
pub(super) const LABELS: [&str; 4] = ["A", "B", "C", "D"];

/// Draws one entry of a non-empty list.
pub(super) fn pick<'a, T>(rng: &mut ChaCha8Rng, list: &'a [T]) -> &'a T {
    &list[rng.random_range(0..list.len())]
}

/// `n` different entries in random order, or all of them if the list is shorter.
pub(super) fn pick_some<T: Clone>(rng: &mut ChaCha8Rng, list: &[T], n: usize) -> Vec<T> {
    let mut list = list.to_vec();
    shuffle(rng, &mut list);
    list.truncate(n);
    list
}

/// Shuffles the list (Fisher-Yates).
pub(super) fn shuffle<T>(rng: &mut ChaCha8Rng, list: &mut [T]) {
    for i in (1..list.len()).rev() {
        list.swap(i, rng.random_range(0..=i));
    }
}

/// True with this probability; anything below 0 counts as 0, above 1 as 1.
pub(super) fn chance(rng: &mut ChaCha8Rng, probability: f64) -> bool {
    rng.random_bool(probability.clamp(0.0, 1.0))
}
