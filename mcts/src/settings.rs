//! Settings of one source over those of another: a file over a preset.
//!
//! It knows tables and nothing of what their keys mean; readers refuse unknown keys afterwards. Both
//! binaries read their settings through it.

use toml::{Table, Value};

/// `own` over `base`, table by table.
#[must_use]
pub fn overlay(mut base: Table, own: Table) -> Table {
    for (key, value) in own {
        let merged = match (base.remove(&key), value) {
            (Some(Value::Table(below)), Value::Table(above)) => Value::Table(overlay(below, above)),
            (_, value) => value,
        };
        base.insert(key, merged);
    }
    base
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inner_tables_are_joined_and_other_values_replaced() {
        let base = "a = 1\nb = [1, 2]\n[c]\nd = 1\ne = 2\n".parse().unwrap();
        let own = "b = [3]\n[c]\ne = 5\n[f]\ng = 1\n".parse().unwrap();
        let wanted: Table = "a = 1\nb = [3]\n[c]\nd = 1\ne = 5\n[f]\ng = 1\n".parse().unwrap();
        assert_eq!(overlay(base, own), wanted);
    }
}
