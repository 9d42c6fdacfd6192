//! Reads run folders without the parts that may differ between equal runs.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

/// Returns all files of a run by relative path, without locks, costs and wall times.
pub fn contents(run: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    collect(run, run, &mut files);
    files
}

fn collect(root: &Path, dir: &Path, files: &mut BTreeMap<String, Vec<u8>>) {
    for entry in std::fs::read_dir(dir).expect("folder") {
        let path = entry.expect("entry").path();
        if path.is_dir() {
            collect(root, &path, files);
            continue;
        }
        let name = path.strip_prefix(root).expect("inside").to_string_lossy().into_owned();
        if name.ends_with(".lock")
            || name.ends_with("cost.json")
            || name == "progress.json"
            || name.ends_with(".html")
        {
            continue;
        }
        let mut bytes = std::fs::read(&path).expect("file");
        if name.ends_with("report.json") {
            let mut value: Value = serde_json::from_slice(&bytes).expect("JSON");
            without_seconds(&mut value);
            value.as_object_mut().expect("object").remove("sha256");
            bytes = value.to_string().into_bytes();
        }
        files.insert(name, bytes);
    }
}

fn without_seconds(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.remove("seconds");
            map.values_mut().for_each(without_seconds);
        }
        Value::Array(items) => items.iter_mut().for_each(without_seconds),
        _ => {}
    }
}

/// Panics with the first file in which two runs differ.
#[track_caller]
pub fn assert_same(a: &BTreeMap<String, Vec<u8>>, b: &BTreeMap<String, Vec<u8>>) {
    let names = |m: &BTreeMap<String, Vec<u8>>| m.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(a), names(b));
    for (name, bytes) in a {
        assert!(*bytes == b[name], "{name} differs");
    }
}
