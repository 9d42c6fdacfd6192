//! Python's `random.Random(seed).sample`, bit for bit: lm-eval draws its few-shot examples with it.

use std::collections::BTreeSet;

use rand_mt::Mt;

/// The generator of Python's `random.Random`.
pub(super) struct PythonRandom(Mt);

impl PythonRandom {
    /// `random.Random(seed)`.
    pub(super) fn new(seed: u32) -> Self {
        Self(Mt::new_with_key([seed]))
    }

    /// Returns a number below `n`; `n` must be above 0.
    fn below(&mut self, n: u32) -> u32 {
        let bits = u32::BITS - n.leading_zeros();
        loop {
            let number = self.0.next_u32() >> (u32::BITS - bits);
            if number < n {
                return number;
            }
        }
    }

    /// Returns the positions of `random.sample(population, count)` in a population of `n`, which must be at
    /// least `count`.
    pub(super) fn sample(&mut self, n: u32, count: usize) -> Vec<u32> {
        // For a small population Python draws from a copy; for a large one it keeps a set of the drawn
        // positions.
        let mut copied = 21;
        if count > 5 {
            copied += 4_u32.pow(((count * 3) as f64).log(4.0).ceil() as u32);
        }
        if n <= copied {
            return self.sample_copy(n, count);
        }
        let mut drawn = BTreeSet::new();
        let one = |_| {
            loop {
                let place = self.below(n);
                if drawn.insert(place) {
                    return place;
                }
            }
        };
        (0..count).map(one).collect()
    }

    fn sample_copy(&mut self, n: u32, count: usize) -> Vec<u32> {
        let mut pool: Vec<u32> = (0..n).collect();
        let one = |i| {
            let left = n - i as u32;
            let place = self.below(left) as usize;
            let last = pool[left as usize - 1];
            std::mem::replace(&mut pool[place], last)
        };
        (0..count).map(one).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_what_python_draws() {
        // `r = random.Random(1234); r.sample(range(7473), 5)`, three times, from CPython 3.
        let mut random = PythonRandom::new(1234);
        PYTHON_LARGE.iter().for_each(|drawn| assert_eq!(random.sample(7473, 5), drawn));
        // `r.sample(range(50), 8)` and `r.sample(range(10), 3)`, with the same seed.
        let mut random = PythonRandom::new(1234);
        assert_eq!(random.sample(50, 8), PYTHON_MIDDLE);
        assert_eq!(random.sample(10, 3), PYTHON_SMALL);
    }

    const PYTHON_LARGE: [[u32; 5]; 3] =
        [[6374, 3610, 957, 61, 742], [7462, 6610, 4769, 286, 5501], [5677, 687, 806, 6279, 2905]];
    const PYTHON_MIDDLE: [u32; 8] = [49, 28, 7, 0, 5, 37, 2, 42];
    const PYTHON_SMALL: [u32; 3] = [1, 9, 5];
}
