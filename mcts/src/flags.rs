//! Flags of both binaries for running a policy, in this process or on servers.
//!
//! Of these flags only `--device` and `--dtype` change a policy's answers. In a settings file they are the
//! table `[engine]`, with the same names.

use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use regrowth_policy::{ComputeDevice, Dialect, Dtype, LoadOptions, ServerOptions};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a policy is run. Missing fields take their defaults.
#[derive(Debug, Clone, Default, PartialEq, Eq, clap::Args, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[command(next_help_heading = "Engine")]
pub struct EngineFlags {
    /// Number of threads for all computation; changes no result [default: number of cores]
    #[arg(long, value_name = "T", value_parser = at_least_one::<NonZeroUsize>)]
    threads: Option<NonZeroUsize>,
    /// Number of sequences decoded at once; changes no result [default: 64]
    #[arg(long, value_name = "B", value_parser = at_least_one::<NonZeroUsize>, hide = true)]
    max_batch: Option<NonZeroUsize>,
    /// Size of the KV cache for prefixes, in MiB; changes no result [default: 1024; on the CPU up to 4096 for
    /// larger models, if a quarter of the free memory is enough]
    #[arg(long, value_name = "MIB", value_parser = at_least_one::<NonZeroUsize>, hide = true)]
    cache: Option<NonZeroUsize>,
    /// Device that runs a checkpoint; a GPU needs a build with the feature `cuda` [default: cpu]
    #[arg(long, value_name = "cpu|cuda[:N]", hide = true)]
    #[serde(with = "by_name")]
    #[schemars(with = "Option<String>")]
    device: Option<ComputeDevice>,
    /// Data type of weights and products; sums are f32; int8 is for CPUs and f16 for GPUs only [default: f32]
    #[arg(long, value_name = "f32|bf16|int8|f16", hide = true)]
    #[serde(with = "by_name")]
    #[schemars(with = "Option<String>")]
    dtype: Option<Dtype>,
    /// Folder with the tokenizer.json of a served model [default: the server tokenises]
    #[arg(long, value_name = "DIR", hide = true)]
    tokenizer: Option<PathBuf>,
    /// File with the API key of the servers [default: environment variable REGROWTH_API_KEY]
    #[arg(long, value_name = "FILE", help_heading = "Servers", hide = true)]
    server_key_file: Option<PathBuf>,
    /// File with certificates (PEM) to trust for https://, in addition to the system's [default: none]
    #[arg(long, value_name = "FILE", help_heading = "Servers", hide = true)]
    server_ca: Option<PathBuf>,
    /// API dialect of the servers [default: detected]
    #[arg(
        long,
        value_name = "vllm|sglang|llama.cpp|llama-cpp-python|openai",
        help_heading = "Servers",
        hide = true
    )]
    #[serde(with = "by_name")]
    #[schemars(with = "Option<String>")]
    server_dialect: Option<Dialect>,
    /// Maximum number of requests in flight per server; the client adapts below it [default: 256]
    #[arg(long, value_name = "N", value_parser = at_least_one::<NonZeroUsize>, help_heading = "Servers", hide = true)]
    server_in_flight: Option<NonZeroUsize>,
    /// Time limit of one request [default: 600]
    #[arg(long, value_name = "SECONDS", value_parser = at_least_one::<NonZeroU64>, help_heading = "Servers", hide = true)]
    server_timeout: Option<NonZeroU64>,
    /// Number of attempts for a request before the run ends [default: 8]
    #[arg(long, value_name = "N", value_parser = at_least_one::<NonZeroU32>, help_heading = "Servers", hide = true)]
    server_attempts: Option<NonZeroU32>,
    /// Context length in tokens, if the server does not report it [default: 4096]
    #[arg(long, value_name = "TOKENS", value_parser = at_least_one::<NonZeroUsize>, help_heading = "Servers", hide = true)]
    server_context: Option<NonZeroUsize>,
}

/// Parses the value of a flag that must be at least 1. `T` is one of the standard library's nonzero integers.
///
/// # Errors
/// A message with what was expected.
pub fn at_least_one<T: FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| "expected a number of at least 1".to_owned())
}

impl EngineFlags {
    /// Number of threads.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.threads.map_or(LoadOptions::default().threads, usize::from)
    }

    /// Device that runs a checkpoint.
    #[must_use]
    pub fn device(&self) -> ComputeDevice {
        self.device.unwrap_or_default()
    }

    /// Data type of weights and products.
    #[must_use]
    pub fn dtype(&self) -> Dtype {
        self.dtype.unwrap_or_default()
    }

    /// Folder with the tokenizer of a served model; `None` if the server tokenises.
    #[must_use]
    pub fn tokenizer(&self) -> Option<&Path> {
        self.tokenizer.as_deref()
    }

    /// Options for loading a policy; absent flags take their defaults. `log` receives messages for the user.
    #[must_use]
    pub fn load_options(&self, log: fn(&str)) -> LoadOptions {
        let (device, dtype) = (self.device(), self.dtype());
        if device == ComputeDevice::Cpu && dtype == Dtype::F16 {
            log("--dtype f16: the CPU computes in f32 or bf16; f32 is used");
        }
        let base = LoadOptions::default();
        LoadOptions {
            threads: self.threads(),
            max_batch: self.max_batch.map_or(base.max_batch, usize::from),
            cache_bytes: self.cache.map(|mib| mib.get().saturating_mul(1 << 20)),
            device,
            dtype,
            server: self.server_options(),
            log: Some(log),
            ..base
        }
    }

    /// Options for requests to servers.
    fn server_options(&self) -> ServerOptions {
        let base = ServerOptions::default();
        ServerOptions {
            tokenizer: self.tokenizer.clone(),
            key_file: self.server_key_file.clone(),
            ca_file: self.server_ca.clone(),
            dialect: self.server_dialect,
            in_flight: self.server_in_flight.map_or(base.in_flight, usize::from),
            timeout: self.server_timeout.map_or(base.timeout, |s| Duration::from_secs(s.get())),
            attempts: self.server_attempts.map_or(base.attempts, u32::from),
            context: self.server_context.map(usize::from),
            ..base
        }
    }
}

/// (De)serialises values by their names on the command line.
mod by_name {
    use std::fmt::Display;
    use std::str::FromStr;

    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(super) fn serialize<T: Display, S: Serializer>(
        value: &Option<T>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => serializer.collect_str(value),
            None => serializer.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, T: FromStr<Err = String>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<T>, D::Error> {
        String::deserialize(deserializer)?.parse().map(Some).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_a_table_with_the_same_names() {
        let text = "threads = 2\nmax_batch = 8\ncache = 64\ndevice = \"cuda:1\"\ndtype = \"bf16\"\n\
                    tokenizer = \"model\"\nserver_key_file = \"key\"\n\
                    server_ca = \"ca.pem\"\nserver_dialect = \"llama.cpp\"\nserver_in_flight = 3\n\
                    server_timeout = 5\nserver_attempts = 2\nserver_context = 512\n";
        let flags: EngineFlags = toml::from_str(text).expect("valid");
        assert_eq!(toml::to_string(&flags).expect("serialises"), text);
        let options = flags.load_options(|_| {});
        assert_eq!((options.threads, options.cache_bytes), (2, Some(64 << 20)));
        assert_eq!(options.device, ComputeDevice::Cuda(1));
        assert_eq!(options.server.dialect, Some(Dialect::LlamaCpp));
        assert_eq!(options.server.timeout, Duration::from_secs(5));
        assert_eq!(toml::to_string(&EngineFlags::default()).expect("serialises"), "");
        for wrong in ["threads = 0", "server_timeout = 0", "device = \"gpu\"", "thread = 1"] {
            assert!(toml::from_str::<EngineFlags>(wrong).is_err(), "{wrong}");
        }
    }
}
