//! Tests that need private items: dead ends and false moves.

use super::*;
use crate::keyed_rng;

#[test]
fn moves_are_legal_and_complete() {
    let texts: Vec<String> = moves(&[6, 3])
        .into_iter()
        .map(|m| format!("{}{}{}={}", m.left, m.sign, m.right, m.result))
        .collect();
    assert_eq!(texts, ["0+1=9", "0-1=3", "0*1=18", "0/1=2"]);
    assert!(moves(&[5, 5]).iter().all(|m| m.result >= 1), "5 - 5 is no move");
    assert!(moves(&[50, 60]).iter().all(|m| m.result <= MAX_VALUE));
}

#[test]
fn reachability_is_exact_on_known_games() {
    assert!(reachable(&[3, 7, 5], 26));
    assert!(reachable(&[2, 3], 3), "a number that lies there counts");
    assert!(!reachable(&[1, 1, 1], 26));
}

#[test]
fn parentheses_stand_where_they_must() {
    let step = |left, sign, right, result| Move { left, sign, right, result };
    let sum = play(&table(&[3, 4, 2]), step(1, '+', 0, 7));
    assert_eq!(play(&sum, step(1, '*', 0, 14))[0].text, "( 4 + 3 ) * 2");
    assert_eq!(play(&sum, step(1, '-', 0, 5))[0].text, "4 + 3 - 2");
    let difference = play(&table(&[9, 4, 20]), step(0, '-', 1, 5));
    assert_eq!(play(&difference, step(0, '-', 1, 15))[0].text, "20 - ( 9 - 4 )");
    assert_eq!(play(&difference, step(0, '/', 1, 4))[0].text, "20 / ( 9 - 4 )");
    let product = play(&table(&[2, 3, 20]), step(1, '*', 0, 6));
    assert_eq!(play(&product, step(0, '-', 1, 14))[0].text, "20 - 3 * 2");
}

#[test]
fn wrong_steps_are_dead_ends_or_false() {
    let (mut dead, mut found) = (0, 0);
    for i in 0..1_000_u64 {
        let mut rng = keyed_rng(7, &[b"countdown tests", &i.to_le_bytes()]);
        let game = countdown(&mut rng, (2, 3));
        let Some(flawed) = game.solve_wrongly(&mut rng, 1.0) else { continue };
        found += 1;
        let line = &flawed.steps[flawed.wrong];
        let Some((equation, left)) = line.trim_end().split_once(", left ") else {
            assert_ne!(*line, final_line(&game.played(&game.moves).1.text));
            continue;
        };
        let words: Vec<&str> = equation.split(' ').collect();
        let (a, b, result) = (number(words[0]), number(words[2]), number(words[4]));
        let legal =
            moves(&[a, b]).iter().any(|m| m.result == result && m.sign.to_string() == words[1]);
        if legal {
            dead += 1;
            let left: Vec<u32> = left.split(' ').map(number).collect();
            assert!(!reachable(&left, game.target), "{line}");
        }
    }
    assert!(found > 900 && dead > 300, "{found} found, {dead} dead ends");
}

fn number(text: &str) -> u32 {
    text.parse().unwrap()
}
