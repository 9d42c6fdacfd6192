//! `regrowth export`: writes a trained model as a file for other programs.

use std::path::PathBuf;

use regrowth_policy::candle::{Checkpoint, GgufType, Source, write_gguf};

use super::print_line;
use crate::{TrainError, pages};

/// Arguments of `regrowth export`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A checkpoint folder, an adapter (which is merged), a .gguf file or builtin.
    #[arg(long, value_name = "DIR", help_heading = "Policy")]
    policy: String,
    /// GGUF file to write, for llama.cpp and programs based on it.
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    gguf: PathBuf,
    /// Data type of the matrices; norms and biases are f32.
    #[arg(long = "type", value_enum, default_value_t = Kind::F16, help_heading = "Output")]
    kind: Kind,
}

/// Data type of the matrices.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
#[value(rename_all = "snake_case")]
enum Kind {
    /// Half precision.
    F16,
    /// 8 bits per weight, with one scale per 32 weights.
    #[value(name = "q8_0")]
    Q8,
}

pub(super) fn run(args: &Args) -> Result<(), TrainError> {
    let source = Source::named(&args.policy)?;
    let kind = match args.kind {
        Kind::F16 => GgufType::F16,
        Kind::Q8 => GgufType::Q8_0,
    };
    pages::giving_back(|| {
        let checkpoint = Checkpoint::read(source)?;
        Ok::<_, TrainError>(write_gguf(&args.gguf, checkpoint, kind)?)
    })?;
    print_line(&format!("written to {}", args.gguf.display()))
}
