//! Text as lower-case words, for comparisons that ignore punctuation and spacing.

use std::collections::HashSet;

/// Runs of letters and digits, in lower case.
pub(super) fn words(text: &str) -> Vec<String> {
    let parts = text.split(|c: char| !c.is_alphanumeric()).filter(|part| !part.is_empty());
    parts.map(str::to_lowercase).collect()
}

/// Share of the word n-grams of `side` that also occur in `before`; `None` if `side` has fewer than `n`
/// words.
pub(super) fn shared_ngrams(side: &[String], before: &[String], n: usize) -> Option<f64> {
    if side.len() < n {
        return None;
    }
    let known: HashSet<&[String]> = before.windows(n).collect();
    let grams = side.windows(n);
    let (total, shared) = (grams.len(), grams.filter(|gram| known.contains(gram)).count());
    Some(shared as f64 / total as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ngrams_ignore_case_and_punctuation() {
        let side = words("She has 3 apples, so 5.");
        let before = words("she HAS 3 apples");
        assert_eq!(shared_ngrams(&side, &before, 3), Some(0.5));
        assert_eq!(shared_ngrams(&before, &side, 4), Some(1.0));
        assert_eq!(shared_ngrams(&before, &side, 5), None);
    }
}
