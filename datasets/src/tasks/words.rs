//! The closed word lists that every built-in task draws from, and small helpers to draw with.
//!
//! The lists are short on purpose: a model of half a million parameters binds a word to its clause
//! only after seeing it often.

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

/// First names alone: whom animals are lent to.
pub(super) const NAMES: [&str; 8] = ["Anna", "Ben", "Cara", "Dan", "Eva", "Finn", "Mia", "Tom"];

/// Who is lent to somebody, is given food and is found a home.
pub(super) const ANIMALS: [&str; 8] =
    ["bears", "crows", "ducks", "foxes", "frogs", "goats", "mice", "owls"];

/// What animals are given and what grows somewhere.
pub(super) const FOODS: [&str; 8] =
    ["beans", "berries", "figs", "herbs", "leaves", "plums", "roots", "seeds"];

/// Where animals live and food grows.
pub(super) const PLACES: [&str; 8] =
    ["barns", "caves", "deserts", "fields", "forests", "gardens", "parks", "valleys"];

/// How places are kept.
pub(super) const QUALITIES: [&str; 8] =
    ["cold", "dark", "dry", "hot", "quiet", "sunny", "wet", "windy"];

/// Labels of the options of a multiple-choice problem.
pub(super) const LABELS: [&str; 4] = ["A", "B", "C", "D"];

/// One entry of a list that is not empty.
pub(super) fn pick<'a, T>(rng: &mut ChaCha8Rng, list: &'a [T]) -> &'a T {
    &list[rng.random_range(0..list.len())]
}

/// `n` different entries in random order; all of them where the list is shorter.
pub(super) fn pick_some<T: Clone>(rng: &mut ChaCha8Rng, list: &[T], n: usize) -> Vec<T> {
    let mut list = list.to_vec();
    shuffle(rng, &mut list);
    list.truncate(n);
    list
}

/// Random order (Fisher and Yates).
pub(super) fn shuffle<T>(rng: &mut ChaCha8Rng, list: &mut [T]) {
    for i in (1..list.len()).rev() {
        list.swap(i, rng.random_range(0..=i));
    }
}

/// True with this probability; anything below 0 counts as 0, above 1 as 1.
pub(super) fn chance(rng: &mut ChaCha8Rng, probability: f64) -> bool {
    rng.random_bool(probability.clamp(0.0, 1.0))
}
