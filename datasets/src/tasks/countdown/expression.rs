//! Moves of a Countdown game: two of the remaining numbers are replaced by one, and the expression grows.
//!
//! Plays the game, searches for a way to a target, and writes expressions with spaces around every sign
//! and no needless parentheses.

/// Largest result of a move.
pub(super) const MAX_VALUE: u32 = 99;

/// A number on the table and the expression that made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item {
    pub value: u32,
    pub text: String,
    /// Sign of the outermost operation; a space for a plain number.
    pub sign: char,
}

/// One legal move: indices of the two numbers, the sign and the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Move {
    pub left: usize,
    pub sign: char,
    pub right: usize,
    pub result: u32,
}

/// The table at the start of a game.
pub(super) fn table(numbers: &[u32]) -> Vec<Item> {
    numbers.iter().map(|&n| Item { value: n, text: n.to_string(), sign: ' ' }).collect()
}

/// All legal moves: results are integers from 1 to [`MAX_VALUE`]; each sum and product is listed once,
/// with the larger number first.
pub(super) fn moves(values: &[u32]) -> Vec<Move> {
    let mut all = Vec::new();
    for left in 0..values.len() {
        for right in 0..values.len() {
            let (a, b) = (values[left], values[right]);
            if left == right || a < b || (a == b && left > right) {
                continue;
            }
            let results = [
                ('+', Some(a + b)),
                ('-', Some(a - b)),
                ('*', a.checked_mul(b)),
                ('/', (b > 1 && a.is_multiple_of(b)).then(|| a / b)),
            ];
            all.extend(results.iter().filter_map(|&(sign, result)| {
                let result = result.filter(|r| (1..=MAX_VALUE).contains(r))?;
                Some(Move { left, sign, right, result })
            }));
        }
    }
    all
}

/// The values after a move: the remaining ones in their order, then the result.
pub(super) fn after(values: &[u32], step: Move) -> Vec<u32> {
    let mut rest: Vec<u32> = values
        .iter()
        .enumerate()
        .filter(|(i, _)| *i != step.left && *i != step.right)
        .map(|(_, &v)| v)
        .collect();
    rest.push(step.result);
    rest
}

/// The table after a move.
pub(super) fn play(table: &[Item], step: Move) -> Vec<Item> {
    let mut rest: Vec<Item> = table
        .iter()
        .enumerate()
        .filter(|(i, _)| *i != step.left && *i != step.right)
        .map(|(_, item)| item.clone())
        .collect();
    let (left, right) = (&table[step.left], &table[step.right]);
    let text = format!(
        "{} {} {}",
        beside(left, step.sign, false),
        step.sign,
        beside(right, step.sign, true)
    );
    rest.push(Item { value: step.result, text, sign: step.sign });
    rest
}

/// Whether the target is among the values or can be made from them.
pub(super) fn reachable(values: &[u32], target: u32) -> bool {
    values.contains(&target)
        || moves(values).into_iter().any(|step| reachable(&after(values, step), target))
}

/// An operand as written beside a sign, in parentheses if needed.
fn beside(item: &Item, sign: char, is_right: bool) -> String {
    let inner_sum = matches!(item.sign, '+' | '-');
    let needs = match sign {
        '*' if is_right => inner_sum || item.sign == '/',
        '*' => inner_sum,
        '/' => inner_sum || (is_right && item.sign != ' '),
        '-' => is_right && inner_sum,
        _ => false,
    };
    if needs { format!("( {} )", item.text) } else { item.text.clone() }
}
