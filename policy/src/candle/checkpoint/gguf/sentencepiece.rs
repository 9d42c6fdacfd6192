//! Rebuilds the merges of a SentencePiece vocabulary. GGUF files have only the scores of the merged pieces.

use std::collections::HashMap;

/// Returns every way to join two pieces into a third, best first: ordered by the score of the third piece,
/// as SentencePiece merges. `pieces` are the pieces that may result from merges.
pub(super) fn merges<'a>(pieces: &[(&'a str, f64)]) -> Vec<(&'a str, &'a str)> {
    let rank: HashMap<&str, usize> =
        pieces.iter().enumerate().map(|(rank, (piece, _))| (*piece, rank)).collect();
    let mut found = Vec::new();
    for (whole, (piece, score)) in pieces.iter().enumerate() {
        for (at, _) in piece.char_indices().skip(1) {
            let (left, right) = piece.split_at(at);
            if let (Some(l), Some(r)) = (rank.get(left), rank.get(right)) {
                found.push((*score, whole, *l, *r));
            }
        }
    }
    let order = |a: &(f64, usize, usize, usize), b: &(f64, usize, usize, usize)| {
        b.0.total_cmp(&a.0).then((a.1, a.2, a.3).cmp(&(b.1, b.2, b.3)))
    };
    found.sort_unstable_by(order);
    found.into_iter().map(|(_, _, l, r)| (pieces[l].0, pieces[r].0)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_piece_is_merged_first() {
        let pieces =
            [("a", 0.0), ("b", 0.0), ("c", 0.0), ("bc", -1.0), ("ab", -2.0), ("abc", -3.0)];
        let expected = [("b", "c"), ("a", "b"), ("a", "bc"), ("ab", "c")];
        assert_eq!(merges(&pieces), expected);
    }
}
