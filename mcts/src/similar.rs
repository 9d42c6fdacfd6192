//! Similarity of two steps: a number in [0, 1] computed from their text alone.
//!
//! The Dice coefficient of the multisets of character trigrams (Dice 1945), ignoring letter case and white
//! space. The authors' code compares embeddings instead, which only an engine with hidden states could
//! provide.

/// Share of common trigrams: 1 for equal texts, 0 for texts without a common trigram.
#[must_use]
pub fn similarity(a: &str, b: &str) -> f64 {
    let (a, b) = (trigrams(a), trigrams(b));
    let total = a.len() + b.len();
    if total == 0 {
        return 1.0;
    }
    2.0 * common(&a, &b) as f64 / total as f64
}

/// Sorted trigrams; a text of one or two characters is a single gram.
fn trigrams(text: &str) -> Vec<String> {
    let letters: Vec<char> =
        text.chars().filter(|c| !c.is_whitespace()).flat_map(char::to_lowercase).collect();
    if letters.is_empty() {
        return Vec::new();
    }
    let size = letters.len().min(3);
    let mut grams: Vec<String> = letters.windows(size).map(|w| w.iter().collect()).collect();
    grams.sort_unstable();
    grams
}

/// Size of the intersection of two sorted multisets.
fn common(a: &[String], b: &[String]) -> usize {
    let (mut i, mut j, mut count) = (0, 0, 0);
    while i < a.len() && j < b.len() {
        match a[i].cmp(&b[j]) {
            std::cmp::Ordering::Less => i += 1,
            std::cmp::Ordering::Greater => j += 1,
            std::cmp::Ordering::Equal => {
                count += 1;
                i += 1;
                j += 1;
            }
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn similarity_is_a_share() {
        assert_eq!(similarity("3 + 4 = 7", "3+4=7\n"), 1.0);
        assert_eq!(similarity("abc", "xyz"), 0.0);
        assert_eq!(similarity("", ""), 1.0);
        assert_eq!(similarity("", "abc"), 0.0);
        // abcd: abc bcd; abce: abc bce: one of two trigrams in common.
        assert_eq!(similarity("abcd", "abce"), 0.5);
        assert_eq!(similarity("aaaa", "aaa"), 2.0 / 3.0);
    }
}
