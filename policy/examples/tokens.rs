//! Prints the token ids of texts under the tokenizer of a checkpoint, for comparisons with other programs.
//!
//! `tokens POLICY FILE`: FILE has one JSON string per line; one JSON list of ids is printed per line.

use std::error::Error;
use std::io::{BufRead, BufReader, Write};

use regrowth_policy::candle::{ModelConfig, Source, Tokenizer};

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(policy), Some(file)) = (args.next(), args.next()) else {
        return Err("expected the name of a checkpoint and a file of JSON strings".into());
    };
    let source = Source::named(&policy)?;
    let config = ModelConfig::parse(&source.text("config.json")?)?;
    let tokenizer = Tokenizer::read(&source, &config)?;
    let mut out = std::io::stdout().lock();
    for line in BufReader::new(std::fs::File::open(file)?).lines() {
        let text: String = serde_json::from_str(&line?)?;
        writeln!(out, "{}", serde_json::to_string(&tokenizer.encode(&text)?)?)?;
    }
    Ok(())
}
