//! Case-insensitive text search.

/// Whether `text` contains `needle`, which is in lower case and not empty.
pub(super) fn contains(text: &str, needle: &str) -> bool {
    text.to_lowercase().contains(needle)
}

/// Byte ranges of `needle` in a line. Empty if lower-casing changes the line's byte positions.
pub(super) fn places(line: &str, needle: &str) -> Vec<std::ops::Range<usize>> {
    let lower = line.to_lowercase();
    if needle.is_empty() || lower.len() != line.len() {
        return Vec::new();
    }
    let found = lower.match_indices(needle).map(|(at, text)| at..at + text.len());
    found.filter(|place| line.get(place.clone()).is_some()).collect()
}
