//! The settings as described by their types: names, types and doc comments.
//!
//! schemars reads these descriptions from the declarations. So the settings file that `config` prints, the
//! settings reference and the keys that `--set` accepts cannot differ from the code.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value as Json};
use toml::{Table, Value};

/// Line width of a commented settings file.
const WIDTH: usize = 100;

/// All settings of a command.
#[derive(Debug, Clone, Default)]
pub struct SettingsTree {
    settings: Vec<Setting>,
    /// Keys that had other names: the old one and the current one.
    old_names: &'static [(&'static str, &'static str)],
}

/// One setting, or a table of settings.
#[derive(Debug, Clone)]
pub struct Setting {
    /// Key of the setting in its table.
    pub key: String,
    /// Doc comment of the setting.
    pub doc: String,
    /// Type of the value, such as `integer` or `one of "a", "b"`.
    pub kind: String,
    /// Forms of the value, each with its meaning.
    pub values: Vec<(String, String)>,
    /// Names that occur in `values`, spelled as in the code.
    names: Vec<String>,
    /// The settings of the table, if this is one.
    pub inner: SettingsTree,
}

impl SettingsTree {
    /// The fields of a settings type.
    #[must_use]
    pub fn of<T: JsonSchema>() -> Self {
        Self::read(schema::<T>().as_value())
    }

    /// Adds a setting of another type.
    #[must_use]
    pub fn with<T: JsonSchema>(mut self, key: &str, doc: &str) -> Self {
        let found = Setting::read(key, schema::<T>().as_value());
        self.settings.push(Setting { doc: doc.to_owned(), ..found });
        self
    }

    /// Adds keys that can still be read under an old name: the old one and the current one.
    #[must_use]
    pub fn with_old_names(self, old_names: &'static [(&'static str, &'static str)]) -> Self {
        Self { old_names, ..self }
    }

    /// The setting with this key, which may be an old name.
    fn setting(&self, key: &str) -> Option<&Setting> {
        let renamed = self.old_names.iter().find(|(old, _)| *old == key);
        let key = renamed.map_or(key, |(_, new)| new);
        self.settings.iter().find(|setting| setting.key == key)
    }

    /// A tree with only the table at this key.
    #[must_use]
    pub fn table(&self, key: &str) -> Self {
        let found = self.settings.iter().filter(|setting| setting.key == key);
        Self { settings: found.cloned().collect(), ..Self::default() }
    }

    /// The settings, in the order of their declaration; settings that are written to every file come first.
    #[must_use]
    pub fn settings(&self) -> &[Setting] {
        &self.settings
    }

    fn read(schema: &Json) -> Self {
        let Some(properties) = schema.get("properties").and_then(Json::as_object) else {
            return Self::default();
        };
        // Properties have no order of their own; those that are always written are listed in the order of
        // their declaration.
        let written = schema.get("required").and_then(Json::as_array).into_iter().flatten();
        let written: Vec<&str> = written.filter_map(Json::as_str).collect();
        let others = properties.keys().map(String::as_str).filter(|key| !written.contains(key));
        let keys = written.iter().copied().chain(others);
        let settings = keys.filter_map(|key| Some(Setting::read(key, properties.get(key)?)));
        Self { settings: settings.collect(), ..Self::default() }
    }

    /// The settings of the table at a key.
    #[must_use]
    pub fn inner(&self, key: &str) -> Self {
        let found = self.settings.iter().find(|setting| setting.key == key);
        found.map(|setting| setting.inner.clone()).unwrap_or_default()
    }

    /// Returns the table with current keys, and with the names of values spelled as in the code: hyphens and
    /// underscores are interchangeable.
    #[must_use]
    pub fn spelled(&self, table: Table) -> Table {
        let spell = |(key, value): (String, Value)| {
            let Some(setting) = self.setting(&key) else { return (key, value) };
            let value = match value {
                Value::Table(table) if !setting.inner.settings.is_empty() => {
                    Value::Table(setting.inner.spelled(table))
                }
                value => renamed(value, &|name| setting.name(name)),
            };
            (setting.key.clone(), value)
        };
        table.into_iter().map(spell).collect()
    }

    /// Checks that all keys of a table are known, and that none occurs under two names.
    ///
    /// # Errors
    /// A message with the first unknown key and the nearest known one, or with both names.
    pub fn check(&self, table: &Table) -> Result<(), String> {
        let both =
            |(old, new): &&(&str, &str)| table.contains_key(*old) && table.contains_key(*new);
        if let Some((old, new)) = self.old_names.iter().find(both) {
            return Err(format!("`{old}` is the old name of `{new}`; leave it out"));
        }
        let Some(unknown) = self.unknown("", table) else { return Ok(()) };
        let mut known = Vec::new();
        self.names("", &mut known);
        let near = |name: &&String| strsim::jaro_winkler(name, &unknown);
        let nearest = known.iter().max_by(|a, b| near(a).total_cmp(&near(b)));
        let nearest = nearest.map_or(String::new(), |name| format!("; the nearest is `{name}`"));
        Err(format!("there is no setting `{unknown}`{nearest}"))
    }

    /// Dotted name of the first unknown key of a table; `None` if all keys are known.
    fn unknown(&self, above: &str, table: &Table) -> Option<String> {
        table.iter().find_map(|(key, value)| {
            let name = joined(above, key);
            let Some(setting) = self.setting(key) else { return Some(name) };
            match value {
                Value::Table(table) if !setting.inner.settings.is_empty() => {
                    setting.inner.unknown(&name, table)
                }
                _ => None,
            }
        })
    }

    /// The dotted names of all settings and tables.
    fn names(&self, above: &str, found: &mut Vec<String>) {
        for setting in &self.settings {
            let name = joined(above, &setting.key);
            setting.inner.names(&name, found);
            found.push(name);
        }
    }

    /// Text of a settings file with these values: every key below its doc comment and its type, keys without
    /// a value as comments.
    #[must_use]
    pub fn commented(&self, values: &Table) -> String {
        let mut text = String::new();
        self.write("", Some(values), &mut text);
        text
    }

    fn write(&self, above: &str, values: Option<&Table>, text: &mut String) {
        let value = |key: &str| values.and_then(|values| values.get(key));
        let (tables, plain): (Vec<_>, Vec<_>) =
            self.settings.iter().partition(|setting| !setting.inner.settings.is_empty());
        for setting in plain {
            setting.comment(text);
            *text += &match value(&setting.key) {
                Some(value) => {
                    let shown = renamed(value.clone(), &|name| setting.shown(name));
                    format!("{} = {shown}\n\n", setting.key)
                }
                None => format!("# {} =\n\n", setting.key),
            };
        }
        for setting in tables {
            let name = joined(above, &setting.key);
            comment(&setting.doc, text);
            match value(&setting.key).and_then(Value::as_table) {
                Some(values) => {
                    *text += &format!("[{name}]\n\n");
                    setting.inner.write(&name, Some(values), text);
                }
                None => *text += &format!("# [{name}] is not set: {}\n\n", setting.inner.listed()),
            }
        }
    }

    /// The keys of a table in one line.
    fn listed(&self) -> String {
        let keys = self.settings.iter().map(|s| format!("{} ({})", s.key, s.kind));
        keys.collect::<Vec<_>>().join(", ")
    }
}

/// JSON schema of a type.
fn schema<T: JsonSchema>() -> Schema {
    let settings = SchemaSettings::draft2020_12().for_serialize();
    settings.with(|s| s.inline_subschemas = true).into_generator().into_root_schema_for::<T>()
}

impl Setting {
    fn read(key: &str, schema: &Json) -> Self {
        // rustdoc links do not work outside of rustdoc.
        let doc = text(schema, "description").replace("[`", "`").replace("`]", "`");
        let schema = not_null(schema);
        let mut values = Vec::new();
        variants(schema).into_iter().for_each(|variant| forms(variant, &mut values));
        let inner = SettingsTree::read(schema);
        let mut names = Vec::new();
        if inner.settings.is_empty() {
            collect_names(schema, &mut names);
        }
        Self { key: key.to_owned(), doc, kind: kind(schema), values, names, inner }
    }

    /// A name of a value, spelled as in the code; other texts are unchanged.
    fn name(&self, text: &str) -> String {
        let same = |name: &&String| hyphenated(name) == hyphenated(text);
        self.names.iter().find(same).cloned().unwrap_or_else(|| text.to_owned())
    }

    /// A name of a value, spelled as on the command line; other texts are unchanged.
    fn shown(&self, text: &str) -> String {
        match self.names.iter().any(|name| name == text) {
            true => hyphenated(text),
            false => text.to_owned(),
        }
    }

    fn comment(&self, text: &mut String) {
        comment(&self.doc, text);
        comment(&capitalised(&format!("{}.", self.kind)), text);
        for (value, doc) in self.values.iter().filter(|(_, doc)| !doc.is_empty()) {
            comment(&format!("  {value}: {}", first_sentence(doc)), text);
        }
    }
}

/// A name of a value, spelled as on the command line, in the reference and in printed files.
fn hyphenated(name: &str) -> String {
    name.replace('_', "-")
}

/// Returns the value with renamed names, which may be texts or keys in it.
fn renamed(value: Value, name: &impl Fn(&str) -> String) -> Value {
    match value {
        Value::String(text) => Value::String(name(&text)),
        Value::Array(values) => {
            Value::Array(values.into_iter().map(|value| renamed(value, name)).collect())
        }
        Value::Table(table) => {
            let field = |(key, value): (String, _)| (name(&key), renamed(value, name));
            Value::Table(table.into_iter().map(field).collect())
        }
        other => other,
    }
}

/// Collects all names that a value may contain: texts, and keys that select a form.
fn collect_names(schema: &Json, found: &mut Vec<String>) {
    let name = |value: &Json| value.as_str().map(str::to_owned);
    found.extend(schema.get("const").and_then(name));
    let names = schema.get("enum").and_then(Json::as_array).into_iter().flatten();
    found.extend(names.filter_map(name));
    for key in ["oneOf", "anyOf"] {
        for variant in schema.get(key).and_then(Json::as_array).into_iter().flatten() {
            if let Some(properties) = variant.get("properties").and_then(Json::as_object) {
                found.extend(properties.keys().filter(|_| properties.len() == 1).cloned());
                properties.values().for_each(|schema| collect_names(schema, found));
            }
            collect_names(variant, found);
        }
    }
    if let Some(items) = schema.get("items") {
        collect_names(items, found);
    }
}

/// The first sentence of a doc comment.
fn first_sentence(doc: &str) -> &str {
    doc.split_once(". ").map_or(doc, |(first, _)| first)
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or(String::new(), |c| c.to_uppercase().chain(letters).collect())
}

/// Comment lines of at most [`WIDTH`] characters.
fn comment(words: &str, text: &mut String) {
    let indent = if words.starts_with("  ") { "  " } else { "" };
    let mut line = format!("#{indent}");
    for word in words.split_whitespace() {
        if line.len() + word.len() + 1 > WIDTH {
            *text += &format!("{line}\n");
            line = format!("#{indent}{indent}");
        }
        line = format!("{line} {word}");
    }
    if line.len() > 1 + indent.len() {
        *text += &format!("{line}\n");
    }
}

fn joined(above: &str, key: &str) -> String {
    if above.is_empty() { key.to_owned() } else { format!("{above}.{key}") }
}

fn text<'a>(schema: &'a Json, key: &str) -> &'a str {
    schema.get(key).and_then(Json::as_str).unwrap_or_default()
}

/// The schema of an optional setting's value.
fn not_null(schema: &Json) -> &Json {
    let any = schema.get("anyOf").and_then(Json::as_array).into_iter().flatten();
    any.into_iter().find(|s| text(s, "type") != "null").unwrap_or(schema)
}

/// The forms that a value may have.
fn variants(schema: &Json) -> Vec<&Json> {
    match schema.get("oneOf").and_then(Json::as_array) {
        Some(variants) => variants.iter().collect(),
        None => vec![schema],
    }
}

/// Collects the names or tables of a form, each with its doc comment.
fn forms(variant: &Json, found: &mut Vec<(String, String)>) {
    let doc = text(variant, "description").replace('\n', " ");
    let properties = variant.get("properties").and_then(Json::as_object);
    if let Some(name) = variant.get("const") {
        found.push((hyphenated(&name.to_string()), doc));
    } else if let Some(names) = variant.get("enum").and_then(Json::as_array) {
        let names = names.iter().filter(|name| !name.is_null());
        found.extend(names.map(|name| (hyphenated(&name.to_string()), String::new())));
    } else if let (Some(properties), Some(_)) = (properties, variant.get("required")) {
        // `required` is absent if all fields may be absent: then this is a table of settings and not the form
        // of a value.
        found.push((inline(properties), doc));
    }
}

/// A table in one line.
fn inline(properties: &Map<String, Json>) -> String {
    // If a form has a single key, the key is the name of the form.
    let named = properties.len() == 1;
    let shown = |key: &str| if named { hyphenated(key) } else { key.to_owned() };
    let field = |(key, schema): (&String, &Json)| format!("{} = {}", shown(key), kind(schema));
    format!("{{ {} }}", properties.iter().map(field).collect::<Vec<_>>().join(", "))
}

/// Type of a value, in words.
fn kind(schema: &Json) -> String {
    let schema = not_null(schema);
    let choices = |of: &Json| {
        let mut found = Vec::new();
        variants(of).into_iter().for_each(|variant| forms(variant, &mut found));
        found.into_iter().map(|(name, _)| name).collect::<Vec<_>>().join(", ")
    };
    if let Some(name) = schema.get("const") {
        return hyphenated(&name.to_string());
    }
    if schema.get("oneOf").is_some() || schema.get("enum").is_some() {
        return format!("one of {}", choices(schema));
    }
    if let Some(properties) = schema.get("properties").and_then(Json::as_object) {
        return inline(properties);
    }
    let types = match schema.get("type") {
        Some(Json::Array(types)) => types.iter().find(|name| *name != "null").cloned(),
        other => other.cloned(),
    };
    match types.as_ref().and_then(Json::as_str) {
        Some("array") => match schema.get("items").map(kind) {
            Some(items) => format!("list of {items}"),
            None => "list".to_owned(),
        },
        Some(name) => name.to_owned(),
        None => "any value".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SearchConfig;
    use crate::config::{FirstPlay, PriorRule};
    use crate::stop::StopRule;

    #[test]
    fn a_commented_file_holds_what_it_was_made_of() {
        for config in [SearchConfig::default(), SearchConfig::paper(), SearchConfig::beam(2)] {
            let table = Table::try_from(&config).unwrap();
            let tree = SettingsTree::of::<SearchConfig>();
            let text = tree.commented(&table);
            let read = tree.spelled(text.parse().unwrap());
            assert_eq!(read.try_into::<SearchConfig>().unwrap(), config, "{text}");
        }
    }

    #[test]
    fn names_are_spelled_with_hyphens_or_underscores() {
        let read = |text: &str| -> SearchConfig {
            let table = SettingsTree::of::<SearchConfig>().spelled(text.parse().unwrap());
            table.try_into().expect(text)
        };
        for text in ["prior = 'length-divided'", "prior = 'length_divided'"] {
            assert_eq!(read(text).prior, PriorRule::LengthDivided);
        }
        assert_eq!(
            read("first_play = { below-parent = 0.5 }").first_play,
            FirstPlay::BelowParent(0.5)
        );
        let stop = read("stop = ['decided', { sampled-tokens = 9 }]").stop;
        assert_eq!(stop, [StopRule::Decided, StopRule::SampledTokens(9)]);
        assert_eq!(read("stop_at = { strings = ['a_b'] }").stop_at.strings, ["a_b"]);
        let commented = SettingsTree::of::<SearchConfig>()
            .commented(&Table::try_from(SearchConfig::default()).unwrap());
        assert!(commented.contains("commit = \"spread-visits\""), "{commented}");
    }

    #[test]
    fn old_names_of_keys_are_read_and_not_beside_the_new_ones() {
        let tree =
            SettingsTree::of::<SearchConfig>().with_old_names(&[("rollouts", "simulations")]);
        let table: Table = "rollouts = 3".parse().unwrap();
        tree.check(&table).unwrap();
        assert_eq!(tree.spelled(table), "simulations = 3".parse().unwrap());
        let both = tree.check(&"rollouts = 3\nsimulations = 3".parse().unwrap()).unwrap_err();
        assert!(both.contains("`rollouts` is the old name of `simulations`"), "{both}");
        assert!(tree.check(&"rollout = 3".parse().unwrap()).is_err());
    }

    #[test]
    fn keys_have_docs_types_and_values() {
        let tree = SettingsTree::of::<SearchConfig>();
        let find = |key: &str| tree.settings.iter().find(|setting| setting.key == key).unwrap();
        assert_eq!(tree.settings[0].key, "seed");
        assert!(find("c_puct").doc.contains("exploration") && find("c_puct").kind == "number");
        assert!(find("selection").kind.contains("\"puct\", \"uct\""), "{:?}", find("selection"));
        assert!(find("strategy").kind.contains("beam = { width = integer }"));
        assert_eq!(find("similarity").kind, "number");
        assert_eq!(find("root_noise").inner.settings.len(), 2);
        assert!(tree.settings.iter().all(|setting| !setting.doc.is_empty()));
    }
}
