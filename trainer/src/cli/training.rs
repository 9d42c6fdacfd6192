//! Flags that preference training and supervised training share.
//!
//! A setting comes from its default, then from the file of `--config`, then from its flag. Flags are
//! laid over the settings as a table, so every one is named once, as in the file.

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

/// How weights are updated, and how they are written.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Training")]
pub(super) struct TrainingArgs {
    /// Settings file (TOML), as `config` prints it, of which the table `dpo` (train) or `sft` is used, or
    /// such a table alone; flags win over it, unknown keys are refused [default: none]
    #[arg(long, value_name = "FILE", help_heading = "Settings")]
    config: Option<PathBuf>,
    #[command(flatten)]
    set: SetFlags,
    /// Highest learning rate.
    #[arg(long, value_name = "RATE")]
    learning_rate: Option<f64>,
    /// Form of the learning rate's decay: constant, linear or cosine.
    #[arg(long, value_name = "NAME", hide = true)]
    schedule: Option<String>,
    /// Share of the steps in which the learning rate rises to its highest.
    #[arg(long, value_name = "SHARE", hide = true)]
    warmup: Option<f64>,
    /// Passes over the data.
    #[arg(long, value_name = "N")]
    epochs: Option<i64>,
    /// Tokens of one micro-batch, at most; gradients of a step's micro-batches are summed.
    #[arg(long, value_name = "N", hide = true)]
    micro_tokens: Option<i64>,
    /// Optimizer: adam-w, muon (on the matrices inside the layers) or sgd.
    #[arg(long, value_name = "NAME", hide = true)]
    optimizer: Option<String>,
    /// Decoupled weight decay; norms, biases and embeddings are never decayed.
    #[arg(long, value_name = "DECAY", hide = true)]
    weight_decay: Option<f64>,
    /// Largest norm of the gradient; 0 does not clip.
    #[arg(long, value_name = "NORM", hide = true)]
    max_grad_norm: Option<f64>,
    /// Train low-rank updates of this rank in place of the whole model; a PEFT adapter is written
    /// beside the merged checkpoint. 0 trains the whole model where a preset or file has updates.
    #[arg(long, value_name = "RANK")]
    lora: Option<usize>,
    /// Numerator of the updates' scale [default: twice the rank].
    #[arg(long, value_name = "ALPHA", requires = "lora", hide = true)]
    lora_alpha: Option<f64>,
    /// Share of the updates' inputs dropped in training.
    #[arg(long, value_name = "SHARE", requires = "lora", hide = true)]
    lora_dropout: Option<f64>,
    /// Projections that are updated [default: all seven of a layer].
    #[arg(long, value_name = "NAME,...", value_delimiter = ',', requires = "lora", hide = true)]
    lora_targets: Option<Vec<String>>,
    /// Compute activations a second time in place of holding them: a third more work, less memory.
    #[arg(long, hide = true)]
    gradient_checkpointing: bool,
    /// Keep the order of the file.
    #[arg(long, hide = true)]
    in_order: bool,
    /// Seed of order, dropout and fresh weights.
    #[arg(long, value_name = "SEED", hide = true)]
    seed: Option<i64>,
    /// Seconds between saved states, from which the same command goes on after a stop.
    #[arg(long, value_name = "SECONDS", hide = true)]
    save_seconds: Option<i64>,
    /// Type of the written weights: f32, bf16 or f16 [default: that of the model's config.json; of an
    /// adapter f32].
    #[arg(long, value_name = "TYPE", value_parser = parse_dtype, help_heading = "Output", hide = true)]
    save_dtype: Option<DType>,
    /// Bytes of one weight file, at most: a number with B, KB, MB or GB.
    #[arg(long, value_name = "SIZE", default_value = "5GB", value_parser = parse_size, help_heading = "Output", hide = true)]
    max_shard_size: usize,
    /// Write no TensorBoard event files.
    #[arg(long, help_heading = "Output", hide = true)]
    no_tensorboard: bool,
}

impl TrainingArgs {
    /// The settings, which a settings file has in the table `name`: `defaults`, the file over them,
    /// `--set` over it, the flags over all, then `own` flags of the command.
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
            // The file is checked alone, so that an error in it is not blamed on a flag.
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
        // A value of the command's own flags replaces all of the one below, tables included.
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
        // Event files are the command's default, not that of the settings: rounds write their own.
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

    /// The low-rank settings of the flags, over those of the file.
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

    /// Writes what was trained into `out`: the checkpoint and, where only updates were trained, the
    /// adapter; says what was written.
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

/// The table of that name, or all of what has none.
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

/// `5GB`, `200MB`, `1000`: powers of ten, as `save_pretrained` reads them.
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
