//! Grades one answer: `cargo run --example grade -- GOLD ANSWER`.

use regrowth_verifiers::{Form, Grader, Pair};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (Some(gold), Some(answer)) = (arguments.next(), arguments.next()) else {
        eprintln!("usage: grade GOLD ANSWER");
        std::process::exit(2);
    };
    let pair = Pair { gold_form: Form::Answer, ..Pair::new(&gold, &answer) };
    println!("{:?}", Grader::default().grade(&pair));
}
