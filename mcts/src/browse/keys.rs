//! Help texts of the keys and of the columns.

/// Keys and their actions, in the order of the help.
pub(super) const KEYS: &[(&str, &str)] = &[
    ("up down, j k", "move"),
    ("PgUp PgDn Home End", "move by a page, to the first, to the last"),
    ("Enter", "open a tree; fold or unfold a step"),
    ("right left, l h", "unfold or first child; fold or parent"),
    ("*  e  f", "in a tree: unfold all below, unfold all, the committed path alone"),
    ("f", "in the list: all, mixed, wrong, with most pairs"),
    ("n p", "next and previous tree of the list"),
    ("Tab", "scroll the text, or move in the tree again"),
    ("/", "search: trees that contain a text, or steps of the open tree; nothing ends it"),
    ("m M", "next and previous match"),
    ("Esc, q", "back; quit"),
];

/// Columns of a tree and their meaning.
pub(super) const LEGEND: &[(&str, &str)] = &[
    ("*  +  -", "committed; chosen, rejected side of a pair by the rules of the run"),
    ("Q N p", "value, visits and prior of a step"),
    ("C O", "self-evaluation; outcome of a finished solution"),
    ("[FALSE: ...]", "an equation between numbers that does not hold"),
];
