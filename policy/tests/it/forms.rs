//! `regrowth.json`: the prompt form of a checkpoint.

use std::path::Path;

use crate::common::checkpoint;
use regrowth_datasets::{AnswerKind, Problem};
use regrowth_policy::{LoadOptions, PolicyError, load};
use serde_json::{Value, json};

const TEMPLATE: &str = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}\
                        {% if enable_thinking is false %}<done>{% endif %}";

/// Returns the prompt of a small model whose folder has this form.
fn prompt(folder: &Path, form: Value) -> Result<String, PolicyError> {
    std::fs::write(folder.join("regrowth.json"), form.to_string()).unwrap();
    let policy = load(&folder.display().to_string(), &LoadOptions::default())?;
    let problem = Problem {
        id: "sum".into(),
        source: "test".into(),
        question: "1 + 1?".into(),
        choices: vec![],
        answer: "2".into(),
        kind: AnswerKind::Number,
        solution: None,
        level: None,
    };
    Ok(policy.prompt(&problem)?.text)
}

#[test]
fn a_form_tells_its_chat_template_a_system_message_and_further_variables() {
    let dir = tempfile::tempdir().unwrap();
    checkpoint(dir.path(), |_| {}, &|_, n| vec![0.1; n]);
    let folder = dir.path().join("checkpoint");
    let template = folder.join("chat_template.jinja");
    std::fs::write(&template, TEMPLATE).unwrap();
    let form = |more: Value| {
        let mut form = json!({ "version": 1, "prompt": "{{ question }}", "judge": "?" });
        form.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        prompt(&folder, form)
    };
    assert_eq!(form(json!({})).unwrap(), "1 + 1?");
    assert_eq!(form(json!({ "chat": true })).unwrap(), "<user>1 + 1?");
    let told = json!({ "chat": true, "system": "Be brief.",
                       "template_kwargs": { "enable_thinking": false } });
    assert_eq!(form(told.clone()).unwrap(), "<system>Be brief.<user>1 + 1?<done>");
    std::fs::remove_file(&template).unwrap();
    assert!(form(told).unwrap_err().to_string().contains("the checkpoint has none"));
    for (bad, expected) in [
        (json!({ "version": 2 }), "`version` is 2; expected 1"),
        (json!({ "system": "Be brief." }), "expected `chat` true"),
        (json!({ "template_kwargs": { "enable_thinking": false } }), "expected `chat` true"),
        (json!({ "chat": true, "template_kwargs": 3 }), "expected a map"),
    ] {
        let error = form(bad).unwrap_err().to_string();
        assert!(error.contains("regrowth.json") && error.contains(expected), "{error}");
    }
}
