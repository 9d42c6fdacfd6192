//! Flags shared by preference training and supervised training.
//!
//! A setting comes from its default, then from the file of `--config`, then from its flag. Flags override the
//! settings as a table, so every flag appears once in the code, as in the file.

use std::path::{Path, PathBuf};

use candle_core::DType;
use regrowth_mcts::frontend::SetFlags;
use regrowth_mcts::settings::overlay;
use regrowth_policy::candle::SaveOptions;
use serde::Serialize;
use serde::de::DeserializeOwned;
use toml::{Table, Value};

use super::settings::{self, read};
use crate::TrainError;
use crate::train::{LoraConfig, Model};

/// Flags of the optimisation, and of saving the weights.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Training")]
pub(super) struct TrainingArgs {
    /// Settings file (TOML), as printed by `config`; only its table `dpo` (train) or `sft` is used. It may
    /// also contain only that table. Flags override it, unknown keys are refused [default: none]
    #[arg(long, value_name = "FILE", help_heading = "Settings")]
    config: Option<PathBuf>,
    #[command(flatten)]
    set: SetFlags,
    /// Peak learning rate.
    #[arg(long, value_name = "RATE")]
    learning_rate: Option<f64>,
    /// Learning-rate decay: constant, linear or cosine.
    #[arg(long, value_name = "NAME", hide = true)]
    schedule: Option<String>,
    /// Share of warm-up steps.
    #[arg(long, value_name = "SHARE", hide = true)]
    warmup: Option<f64>,
    /// Number of passes over the data.
    #[arg(long, value_name = "N")]
    epochs: Option<i64>,
    /// Maximum number of tokens per micro-batch; gradients of a step's micro-batches are summed.
    #[arg(long, value_name = "N", hide = true)]
    micro_tokens: Option<i64>,
    /// Optimizer: adam-w, muon (on the matrices inside the layers) or sgd.
    #[arg(long, value_name = "NAME", hide = true)]
    optimizer: Option<String>,
    /// Decoupled weight decay; norms, biases and embeddings are never decayed.
    #[arg(long, value_name = "DECAY", hide = true)]
    weight_decay: Option<f64>,
    /// Maximum norm of the gradient; 0 disables clipping.
    #[arg(long, value_name = "NORM", hide = true)]
    max_grad_norm: Option<f64>,
    /// Train low-rank updates of this rank instead of all weights; a PEFT adapter is written next to the
    /// merged checkpoint. 0 trains all weights, even if a preset or file sets a rank.
    #[arg(long, value_name = "RANK")]
    lora: Option<usize>,
    /// Numerator of the updates' scale [default: twice the rank].
    #[arg(long, value_name = "ALPHA", requires = "lora", hide = true)]
    lora_alpha: Option<f64>,
    /// Dropout probability of the updates' inputs.
    #[arg(long, value_name = "SHARE", requires = "lora", hide = true)]
    lora_dropout: Option<f64>,
    /// Projections to update [default: all seven of a layer].
    #[arg(long, value_name = "NAME,...", value_delimiter = ',', requires = "lora", hide = true)]
    lora_targets: Option<Vec<String>>,
    /// Recompute activations instead of storing them: a third more computation, less memory.
    #[arg(long, hide = true)]
    gradient_checkpointing: bool,
    /// Keep the order of the file.
    #[arg(long, hide = true)]
    in_order: bool,
    /// Seed of order, dropout and initial weights.
    #[arg(long, value_name = "SEED", hide = true)]
    seed: Option<i64>,
    /// Seconds between saved states, from which the same command resumes after a stop.
    #[arg(long, value_name = "SECONDS", hide = true)]
    save_seconds: Option<i64>,
    /// Data type of the saved weights: f32, bf16 or f16 [default: that of the model's config.json; f32 for an
    /// adapter].
    #[arg(long, value_name = "TYPE", value_parser = parse_dtype, help_heading = "Output", hide = true)]
    save_dtype: Option<DType>,
    /// Maximum size of one weight file: a number with B, KB, MB or GB.
    #[arg(long, value_name = "SIZE", default_value = "5GB", value_parser = parse_size, help_heading = "Output", hide = true)]
    max_shard_size: usize,
    /// Write no TensorBoard event files.
    #[arg(long, help_heading = "Output", hide = true)]
    no_tensorboard: bool,
}

impl TrainingArgs {
    /// Returns the settings, which are in the table `name` of a settings file. In order of precedence, lowest
    /// first: `defaults`, the file, `--set`, the flags, and `own`, the command's own flags.
    pub(super) fn settings<T: Serialize + DeserializeOwned>(
        &self,
        name: &str,
        defaults: &T,
        own: Table,
    ) -> Result<T, TrainError> {
        let bad = |e: String| TrainError::Setting { name: "config", detail: e };
        let known = settings::known().inner(name);
        let mut table = Table::try_from(defaults).map_err(|e| bad(e.to_string()))?;
        if let Some(path) = &self.config {
            table = overlay(table, known.spelled(part(read(path)?, name).map_err(bad)?));
            // The file is checked alone first, so that an error in it is not attributed to a flag.
            T::deserialize(table.clone())
                .map_err(|e| TrainError::File { path: path.clone(), detail: e.to_string() })?;
        }
        let unknown = |detail| TrainError::Setting { name: "set", detail };
        let set = self.set.over(Table::new(), &settings::known().table(name)).map_err(unknown)?;
        table = overlay(table, part(set, name).map_err(bad)?);
        if self.lora == Some(0) {
            table.remove("lora");
        }
        let flags = known.spelled(self.flags(&table)?);
        // A value of the command's own flags replaces the previous value completely, even if that is a table.
        own.keys().for_each(|key| drop(table.remove(key)));
        T::deserialize(overlay(overlay(table, flags), own)).map_err(|e| bad(e.to_string()))
    }

    fn flags(&self, below: &Table) -> Result<Table, TrainError> {
        let mut flags = Table::new();
        let mut set = |key: &str, value: Option<Value>| {
            if let Some(value) = value {
                flags.insert(key.to_owned(), value);
            }
        };
        set("learning_rate", self.learning_rate.map(Value::from));
        set("schedule", self.schedule.clone().map(Value::from));
        set("warmup", self.warmup.map(Value::from));
        set("epochs", self.epochs.map(Value::from));
        set("micro_tokens", self.micro_tokens.map(Value::from));
        set("seed", self.seed.map(Value::from));
        set("save_seconds", self.save_seconds.map(Value::from));
        set("gradient_checkpointing", self.gradient_checkpointing.then_some(true.into()));
        set("shuffle", self.in_order.then_some(false.into()));
        // Event files are the default of the command, but not of the settings: rounds decide for themselves.
        let events = !self.no_tensorboard;
        set("tensorboard", Some(events.into()));
        let mut optimizer = Table::new();
        for (key, value) in [
            ("kind", self.optimizer.clone().map(Value::from)),
            ("weight_decay", self.weight_decay.map(Value::from)),
            ("max_grad_norm", self.max_grad_norm.map(Value::from)),
        ] {
            if let Some(value) = value {
                optimizer.insert(key.into(), value);
            }
        }
        set("optimizer", Some(optimizer.into()));
        set("lora", self.lora(below)?);
        Ok(flags)
    }

    /// Returns the LoRA settings: those of the file, overridden by the flags.
    fn lora(&self, below: &Table) -> Result<Option<Value>, TrainError> {
        let Some(rank) = self.lora.filter(|&rank| rank > 0) else { return Ok(None) };
        let bad = |e: String| TrainError::Setting { name: "lora", detail: e };
        let mut lora = match below.get("lora") {
            Some(lora) => {
                let lora: LoraConfig = lora.clone().try_into().map_err(|e| bad(e.to_string()))?;
                lora.at_rank(rank)
            }
            None => LoraConfig::of_rank(rank),
        };
        lora.alpha = self.lora_alpha.unwrap_or(lora.alpha);
        lora.dropout = self.lora_dropout.unwrap_or(lora.dropout);
        lora.targets = self.lora_targets.clone().unwrap_or(lora.targets);
        lora.check()?;
        Value::try_from(lora).map(Some).map_err(|e| bad(e.to_string()))
    }

    /// Saves the trained model in `out`: the checkpoint and, if only updates were trained, the adapter.
    /// Returns a text that names the files.
    pub(super) fn save(&self, model: &Model, out: &Path) -> Result<String, TrainError> {
        let checkpoint = out.join("checkpoint");
        let options = SaveOptions { dtype: self.save_dtype, max_shard_bytes: self.max_shard_size };
        model.save(&checkpoint, options)?;
        if model.variables.lora().is_none() {
            return Ok(format!("checkpoint in {}", checkpoint.display()));
        }
        let adapter = out.join("adapter");
        model.save_adapter(&adapter, self.save_dtype.unwrap_or(DType::F32))?;
        Ok(format!("adapter in {}, merged in {}", adapter.display(), checkpoint.display()))
    }
}

/// Returns the table of that name, or the whole table if it has none of that name.
fn part(mut table: Table, name: &str) -> Result<Table, String> {
    let mut part = match table.remove(name) {
        Some(Value::Table(part)) => part,
        _ => table,
    };
    settings::named_loss(&mut part)?;
    Ok(part)
}

fn parse_dtype(text: &str) -> Result<DType, String> {
    match text {
        "f32" => Ok(DType::F32),
        "bf16" => Ok(DType::BF16),
        "f16" => Ok(DType::F16),
        _ => Err("expected f32, bf16 or f16".into()),
    }
}

/// Parses `5GB`, `200MB`, `1000`: powers of ten, as in `save_pretrained`.
fn parse_size(text: &str) -> Result<usize, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor: usize = match text[digits.len()..].to_ascii_uppercase().as_str() {
        "" | "B" => 1,
        "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        other => return Err(format!("`{other}`: expected B, KB, MB or GB")),
    };
    let number: usize = digits.trim().parse().map_err(|e| format!("`{digits}`: {e}"))?;
    number.checked_mul(factor).filter(|&n| n > 0).ok_or_else(|| "expected a size above 0".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::SftConfig;
    use clap::Parser;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        training: TrainingArgs,
    }

    fn settings(args: &[&str]) -> Result<SftConfig, TrainError> {
        let cli = Cli::parse_from([&["test"], args].concat());
        cli.training.settings("sft", &SftConfig::default(), Table::new())
    }

    #[test]
    fn flags_lie_over_the_file_and_the_file_over_the_defaults() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sft.toml");
        std::fs::write(&path, "epochs = 3\nlearning_rate = 0.5\n[lora]\nrank = 4\n").unwrap();
        let path = path.to_str().unwrap();
        let config = settings(&["--config", path, "--epochs", "7", "--lora", "8"]).unwrap();
        assert_eq!((config.epochs, config.learning_rate), (7, 0.5));
        assert_eq!(config.warmup, SftConfig::default().warmup);
        assert_eq!(config.lora.map(|l| l.rank), Some(8));
    }

    #[test]
    fn a_settings_file_has_a_table_and_set_lies_over_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run.toml");
        std::fs::write(&path, "rounds = 1\n[sft]\nepochs = 3\npatience = 2\n").unwrap();
        let path = path.to_str().unwrap();
        let config = settings(&["--config", path, "--set", "sft.epochs=5"]).unwrap();
        assert_eq!((config.epochs, config.patience), (5, 2));
        let config = settings(&["--set", "sft.epochs=5", "--epochs", "6"]).unwrap();
        assert_eq!(config.epochs, 6);
        let error = settings(&["--set", "sft.epoch=5"]).unwrap_err().to_string();
        assert!(error.contains("`sft.epochs`"), "{error}");
    }

    #[test]
    fn unknown_keys_and_wrong_values_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sft.toml");
        std::fs::write(&path, "epoch = 3\n").unwrap();
        let error = settings(&["--config", path.to_str().unwrap()]).unwrap_err().to_string();
        assert!(error.contains("sft.toml") && error.contains("epoch"), "{error}");
        assert!(settings(&["--schedule", "steps"]).unwrap_err().to_string().contains("steps"));
        assert!(settings(&["--epochs=-1"]).is_err());
    }

    #[test]
    fn sizes_are_powers_of_ten() {
        assert_eq!(parse_size("5GB"), Ok(5_000_000_000));
        assert_eq!(parse_size("300"), Ok(300));
        assert!(parse_size("5GiB").is_err() && parse_size("0").is_err());
    }
}
