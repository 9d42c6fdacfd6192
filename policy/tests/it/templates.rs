//! Chats are rendered and tokenised to the same ids as in transformers, with every template.
//!
//! The golden file is made by `benches/peers/templates.py`.

use std::collections::BTreeMap;

use regrowth_datasets::Message;
use regrowth_policy::candle::Tokenizer;
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
struct Golden {
    tokenizers: BTreeMap<String, Value>,
    /// The first conversation ends where the assistant's answer begins.
    talks: [Vec<Turn>; 2],
    rows: Vec<Row>,
}

#[derive(Deserialize)]
struct Turn {
    role: String,
    content: String,
}

#[derive(Deserialize)]
struct Row {
    name: String,
    tokenizer: String,
    config: Value,
    template: String,
    ids: [Ids; 2],
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Ids {
    Found(Vec<u32>),
    Refused { error: String },
}

#[test]
fn chats_become_the_ids_of_transformers() {
    let golden: Golden = serde_json::from_str(include_str!("../golden/templates.json")).unwrap();
    assert!(golden.rows.len() > 80);
    let mut wrong = Vec::new();
    for row in &golden.rows {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: String| std::fs::write(dir.path().join(name), text).unwrap();
        write("tokenizer.json", golden.tokenizers[&row.tokenizer].to_string());
        write("tokenizer_config.json", row.config.to_string());
        write("chat_template.jinja", row.template.clone());
        let tokenizer = Tokenizer::from_files(dir.path(), &Value::Null).unwrap();
        for (i, (talk, expected)) in golden.talks.iter().zip(&row.ids).enumerate() {
            let turn = |t: &Turn| Message { role: t.role.clone(), content: t.content.clone() };
            let messages: Vec<Message> = talk.iter().map(turn).collect();
            let text = tokenizer.chat(&messages, i == 0);
            let said = format!("{}, talk {i}: {text:?}", row.name);
            let found = text.and_then(|text| tokenizer.encode(&text));
            let right = match (found, expected) {
                (Ok(found), Ids::Found(ids)) if found == *ids => continue,
                (Err(_), Ids::Refused { .. }) => continue,
                (_, Ids::Found(ids)) => format!("{:?}", tokenizer.decode(ids)),
                (_, Ids::Refused { error }) => error.clone(),
            };
            wrong.push(format!("{said}\n  right: {right}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
