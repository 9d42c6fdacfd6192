//! Error messages for names and paths that are not a checkpoint, with what to do instead.

use std::path::Path;

/// Weight files that are recognised but not supported.
const PICKLES: [&str; 2] = ["pytorch_model.bin", "pytorch_model.bin.index.json"];

/// Error message for a name that is neither a folder nor a file.
pub(crate) fn unknown(spec: &str) -> String {
    if let Some(name) = hub_name(spec) {
        let what = "looks like a name on the Hugging Face Hub, which is never asked";
        let get = "`pip install huggingface_hub`, then `hf download";
        return match name.to_ascii_lowercase().contains("gguf") {
            true => format!(
                "{what}: {get} {name} FILE.gguf --local-dir DIR` with the name of one file, then give \
                 DIR/FILE.gguf"
            ),
            false => format!("{what}: {get} {name} --local-dir DIR`, then give DIR"),
        };
    }
    let name = Path::new(spec).file_name().unwrap_or_default().to_string_lossy().into_owned();
    if name.ends_with(".gguf") || name.ends_with(".safetensors") {
        return "no such file".into();
    }
    "no such folder or file; a policy is builtin, scripted, scripted:FILE, replay:FILE, a .gguf file \
     or a checkpoint folder in Hugging Face layout (config.json, tokenizer.json, model.safetensors)"
        .into()
}

/// Error message for a file that is not GGUF.
pub(crate) fn wrong_file(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = folder.display();
    if name.ends_with(".safetensors") || name.ends_with(".json") {
        return format!(
            "is one file of a checkpoint; give the folder in which it lies beside config.json and \
             tokenizer.json: {folder}"
        );
    }
    if [".bin", ".pt", ".pth", ".ckpt"].iter().any(|end| name.ends_with(end)) {
        return "holds pickled weights, which are not read: save the model as safetensors \
                (`save_pretrained` of transformers) and give that folder"
            .into();
    }
    "is no GGUF file; expected one, or a checkpoint folder in Hugging Face layout".into()
}

/// Suggests a file that a folder has in place of the checkpoint file `name`, or how to get that file.
/// `None` if there is no suggestion.
pub(crate) fn instead(folder: &Path, name: &str) -> Option<String> {
    let entries = std::fs::read_dir(folder).ok()?.flatten();
    let mut names: Vec<String> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort_unstable();
    let ggufs: Vec<&str> =
        names.iter().map(String::as_str).filter(|name| name.ends_with(".gguf")).collect();
    match ggufs[..] {
        [] => {}
        [one] => return Some(format!("The folder holds `{one}`: give that file")),
        _ => {
            return Some(format!("The folder holds {}: give one of these files", ggufs.join(", ")));
        }
    }
    if !name.ends_with(".safetensors") {
        return None;
    }
    match PICKLES.iter().find(|pickle| names.iter().any(|name| name == *pickle)) {
        Some(pickle) => Some(format!(
            "`{pickle}` is a pickle, which is not read: load the model in transformers and write it \
             with `save_pretrained`"
        )),
        None => Some(
            "The folder has no weights; if it is a download, complete it with `hf download NAME \
             --local-dir DIR`"
                .into(),
        ),
    }
}

/// Returns the name `Owner/Model` if the spec is such a name or the address of its page on the Hub.
fn hub_name(spec: &str) -> Option<&str> {
    let name = spec.trim_end_matches('/');
    let pages = ["https://huggingface.co/", "http://huggingface.co/", "hf.co/", "hf:"];
    let page = pages.iter().find_map(|page| name.strip_prefix(page));
    let name = page.unwrap_or(name);
    let (owner, model) = name.split_once('/')?;
    let plain = |part: &str| {
        let good = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        part.starts_with(|c: char| c.is_ascii_alphanumeric()) && part.chars().all(good)
    };
    let file = [".gguf", ".safetensors", ".json", ".jsonl"].iter().any(|end| model.ends_with(end));
    let here = page.is_none() && Path::new(owner).exists();
    (plain(owner) && plain(model) && !file && !here).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_on_a_hub_is_told_how_to_get_it() {
        for spec in ["Qwen/Qwen2.5-0.5B", "https://huggingface.co/Qwen/Qwen2.5-0.5B/"] {
            assert!(unknown(spec).contains("hf download Qwen/Qwen2.5-0.5B --local-dir"), "{spec}");
        }
        assert!(unknown("Qwen/Qwen3-0.6B-GGUF").contains("Qwen/Qwen3-0.6B-GGUF FILE.gguf"));
        for spec in ["models", "./a/b", "a/b/c", "src/lost", "some/model.gguf", "/a/b"] {
            assert!(!unknown(spec).contains("hf download"), "{spec}");
        }
        assert_eq!(unknown("some/model.gguf"), "no such file");
    }

    #[test]
    fn a_file_of_a_checkpoint_names_its_folder() {
        assert!(wrong_file(Path::new("a/model.safetensors")).ends_with(": a"));
        assert!(wrong_file(Path::new("model.safetensors")).ends_with(": ."));
        assert!(wrong_file(Path::new("a/pytorch_model.bin")).contains("save_pretrained"));
        assert!(wrong_file(Path::new("notes.txt")).contains("GGUF"));
    }

    #[test]
    fn a_folder_without_weights_says_what_it_holds() {
        let dir = tempfile::tempdir().unwrap();
        let put = |name: &str| std::fs::write(dir.path().join(name), "").unwrap();
        let said = |name: &str| instead(dir.path(), name).unwrap_or_default();
        assert!(said("model.safetensors").contains("hf download"));
        assert_eq!(said("config.json"), "");
        put("pytorch_model.bin");
        assert!(said("model.safetensors").contains("pickle"));
        put("a.gguf");
        assert!(said("config.json").contains("`a.gguf`: give that file"));
        put("b.gguf");
        assert!(said("config.json").contains("a.gguf, b.gguf: give one"));
    }
}
