//! Renders templates of prompts and chats with minijinja, set up to behave like transformers' Jinja, and
//! with limits.
//!
//! Callers choose the template and its variables; this file does not depend on messages or prompt forms.

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, Error, ErrorKind, Value};

use super::python;
use crate::PolicyError;

/// Limit on work and memory of one rendering, in minijinja's fuel: about 1 per instruction and 1 per 64
/// bytes of text or values created. So a template may take 2 million instructions (well below a second) or
/// create 128 MB. Not tuned; a hundred turns of 13 KB, each trimmed, take about 60 thousand. Templates are
/// untrusted: they come from checkpoints and servers.
const FUEL: u64 = 2_000_000;

/// Renders a prompt template.
pub(super) fn render(template: &str, values: Value) -> Result<String, PolicyError> {
    finished(environment(false).and_then(|e| e.render_str(template, values)))
}

/// Renders a chat template. Chat templates are written for Jinja with trimmed blocks, Python's string
/// methods and a few functions of transformers.
pub(super) fn render_chat(template: &str, values: Value) -> Result<String, PolicyError> {
    finished(chats().and_then(|e| e.render_str(&without_marks(template), values)))
}

/// Result of checking a template before it is rendered.
pub(super) enum Checked {
    Good,
    /// The template cannot be parsed.
    Malformed {
        line: usize,
        detail: String,
    },
    /// The template uses a variable that it will not be given; `line` is the first line with its name.
    Unknown {
        line: usize,
        name: String,
    },
}

/// Checks a prompt template that will be given these variables.
pub(super) fn check(template: &str, variables: &[&str]) -> Checked {
    let malformed = |e: &Error| Checked::Malformed {
        line: e.line().unwrap_or(1),
        detail: e.detail().map_or_else(|| e.kind().to_string(), str::to_owned),
    };
    let environment = match environment(false) {
        Ok(environment) => environment,
        Err(error) => return malformed(&error),
    };
    let parsed = match environment.template_from_str(template) {
        Ok(parsed) => parsed,
        Err(error) => return malformed(&error),
    };
    let known = |name: &str| {
        variables.contains(&name) || environment.globals().any(|(global, _)| global == name)
    };
    let unknown = parsed.undeclared_variables(false).into_iter().filter(|name| !known(name));
    let found = unknown.map(|name| {
        let line = template.lines().position(|line| line.contains(&name)).unwrap_or(0) + 1;
        (line, name)
    });
    found.min().map_or(Checked::Good, |(line, name)| Checked::Unknown { line, name })
}

/// Whether a template refers to this variable.
pub(super) fn uses(template: &str, variable: &str) -> bool {
    let environment = Environment::new();
    let parsed = environment.template_from_str(template);
    parsed.is_ok_and(|parsed| parsed.undeclared_variables(false).contains(variable))
}

fn chats() -> Result<Environment<'static>, Error> {
    let mut environment = environment(true)?;
    environment.set_unknown_method_callback(python::method);
    environment.add_filter("tojson", python::to_json);
    environment.add_test("iterable", python::is_iterable);
    environment.add_test("sequence", python::is_sequence);
    environment.add_function("raise_exception", |message: String| -> Result<String, _> {
        Err(Error::new(ErrorKind::InvalidOperation, message))
    });
    environment.add_function("strftime_now", |format: &str| on_the_day(format));
    Ok(environment)
}

/// Builds the environment of a chat template, which drops a last line break and trims blocks as in
/// transformers, or of a prompt template, which does neither.
fn environment(chat: bool) -> Result<Environment<'static>, Error> {
    let mut syntax = SyntaxConfig::builder();
    syntax.keep_trailing_newline(!chat).trim_blocks(chat).lstrip_blocks(chat);
    let mut environment = Environment::new();
    environment.set_syntax(syntax.build()?);
    environment.set_fuel(Some(FUEL));
    Ok(environment)
}

/// Returns the rendered text, or rewords the error.
fn finished(rendered: Result<String, Error>) -> Result<String, PolicyError> {
    rendered.map_err(|error| {
        PolicyError::Request(match error.kind() {
            ErrorKind::OutOfFuel => format!(
                "a prompt template went on too long or made too much text (more than {FUEL} \
                 instructions or {} MB): {error}",
                FUEL * 64 / 1_000_000
            ),
            _ => format!("a prompt template failed: {error}"),
        })
    })
}

/// Formats today's date for a template: always 26 July 2024, the default date of Llama's templates. With
/// the real date, prompts and therefore all results would change from day to day.
fn on_the_day(format: &str) -> String {
    let parts = [
        ("%d", "26"),
        ("%m", "07"),
        ("%b", "Jul"),
        ("%B", "July"),
        ("%y", "24"),
        ("%Y", "2024"),
        ("%a", "Fri"),
        ("%A", "Friday"),
        ("%j", "208"),
        ("%H", "00"),
        ("%M", "00"),
        ("%S", "00"),
    ];
    parts.iter().fold(format.to_owned(), |text, (code, value)| text.replace(code, value))
}

/// Replaces `{% generation %}` by a plain scope. In transformers this tag marks the assistant's text for
/// masks and prints nothing.
fn without_marks(template: &str) -> String {
    let mut out = String::with_capacity(template.len());
    let mut rest = template;
    while let Some(from) = rest.find("{%") {
        let Some(to) = rest[from..].find("%}").map(|to| from + to) else { break };
        let tag = &rest[from..to];
        let shown = match tag.trim_matches(|c: char| "{%-+".contains(c) || c.is_whitespace()) {
            "generation" => tag.replace("generation", "with"),
            "endgeneration" => tag.replace("endgeneration", "endwith"),
            _ => tag.to_owned(),
        };
        out.push_str(&rest[..from]);
        out.push_str(&shown);
        rest = &rest[to..];
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use minijinja::context;

    #[test]
    fn every_day_is_the_same_and_loops_may_be_left() {
        let template = "{% if strftime_now is defined %}{{ strftime_now('%d %b %Y, %A') }}{% endif %}\
                        {% for m in messages %}{{ m.content }}{% break %}{% endfor %}";
        let turn = |content: &str| context! { content };
        let text = render_chat(template, context! { messages => [turn("!"), turn("?")] });
        assert_eq!(text.unwrap(), "26 Jul 2024, Friday!");
    }

    #[test]
    fn a_template_that_grows_or_goes_on_too_long_is_stopped() {
        let doubled = "{% set n = namespace(s='0123456789abcdef') %}\
                       {% for i in range(24) %}{% set n.s = n.s ~ n.s %}{% endfor %}";
        let written = "{% for i in range(1000) %}{% for j in range(1000) %}\
                       {{ messages[0].content }}{% endfor %}{% endfor %}";
        let idle = "{% for i in range(2000) %}{% for j in range(2000) %}{% endfor %}{% endfor %}";
        let values = context! { messages => [context! { content => "0123456789".repeat(300) }] };
        for template in [doubled, written, idle] {
            for render in [render, render_chat] {
                let error = render(template, values.clone()).unwrap_err().to_string();
                assert!(error.contains("too long or made too much"), "{error}");
            }
        }
    }

    #[test]
    fn a_long_talk_is_no_template_that_goes_on_too_long() {
        let template = "{% for m in messages %}{% if m.role == 'user' %}<u>{{ m.content | trim }}\
                        {% else %}<a>{{ m.content | trim }}{% endif %}</s>{% endfor %}";
        let turn = context! { role => "user", content => "Why is that? ".repeat(1000) };
        let values = context! { messages => vec![turn; 100] };
        assert!(render_chat(template, values).unwrap().len() > 1_000_000);
    }

    #[test]
    fn marks_of_what_the_assistant_says_show_nothing() {
        let template = "{% for m in messages %}\n{%- generation -%}\n{{ m.content }}!\
                        {% endgeneration %}{% endfor %}";
        let values = context! { messages => [context! { content => "Hi" }] };
        assert_eq!(render_chat(template, values).unwrap(), "Hi!");
    }
}
