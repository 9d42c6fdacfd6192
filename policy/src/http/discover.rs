//! Discovers the server at an address: its dialect, its model, its limits, and the features that it lacks.
//!
//! A few cheap requests are sent once, at the start. Facts that the server does not report are taken from the
//! options or left out, and a note tells the user.

use std::path::Path;
use std::sync::Arc;

use serde_json::Value;

use super::fault::Fault;
use super::fleet::{Fleet, look_after};
use super::llama_cpp;
use super::model::{Chat, Model};
use super::openai::{Form, LETTERS, Turns, packed};
use super::reply::Reply;
use super::reward;
use super::server::{MODELS, Server};
use super::vllm;
use crate::text::tokenizer::optional_json;
use crate::text::{ChatTemplate, JudgeTurn, PROMPT_FILE, PromptForm, Tokenizer, Told, user};
use crate::{Ask, Dialect, PolicyError, PromptOptions, ServerOptions};

/// Context length, in tokens, assumed for a server that does not report it.
const CONTEXT: usize = 4096;

/// Note on a model whose vocabulary has no token for a judge's label.
const NO_LABELS: &str = "no token of the vocabulary is a label A or B: every judgement is unknown";

/// A served model, its prompt form, and notes for the user.
pub(super) struct Discovered {
    pub(super) model: Model,
    pub(super) form: PromptForm,
    pub(super) notes: Vec<String>,
}

/// Reason for which discovery failed.
pub(super) enum Unmet {
    /// A server is reachable but busy or not ready.
    Busy(PolicyError),
    /// Any other failure.
    Failed(PolicyError),
}

impl From<PolicyError> for Unmet {
    fn from(error: PolicyError) -> Self {
        Self::Failed(error)
    }
}

/// Identifies the servers and their model. The share of a server that does not answer goes to the other
/// servers.
pub(super) async fn discover(
    fleet: &Fleet,
    options: &ServerOptions,
    prompt: &PromptOptions,
) -> Result<Discovered, Unmet> {
    let mut notes = Vec::new();
    let mut found: Option<(Arc<Server>, Model)> = None;
    let (mut lost, mut absent) = (None, Vec::new());
    for server in &fleet.servers {
        match identify(server, options).await {
            Err(Fault::Protocol(detail)) => {
                let spec = server.address.root.clone();
                return Err(PolicyError::Spec { spec, detail }.into());
            }
            Err(fault) if fault.is_passing() => {
                notes.push(format!("{fault}; the other servers take its share"));
                lost = Some(fault);
                absent.push(server);
            }
            Err(fault) => return Err(PolicyError::from(fault).into()),
            Ok(model) => match &found {
                None => found = Some((server.clone(), model)),
                Some((_, first)) => same(first, &model, server)?,
            },
        }
    }
    let Some((server, mut model)) = found else {
        let said = lost.as_ref().map(Fault::to_string).unwrap_or_default();
        if matches!(lost, Some(Fault::Busy { .. })) {
            return Err(not_ready(&said));
        }
        return Err(Unmet::Failed(PolicyError::Server(format!(
            "{said}; no server answers: start one (docs/servers.md), or check host and port, and \
             whether it is https://"
        ))));
    };
    for other in absent {
        // The absent server joins once it serves this model.
        other.serves_as(&server);
        other.health.take_out();
        look_after(other);
    }
    model.scores_alone = options.scores_alone;
    let own = learn(&server, &mut model, options, &mut notes).await.map_err(unlearnt)?;
    let mut form = match own {
        Some(own) => own.changed(prompt)?,
        None => PromptForm::of_kind(model.chat != Chat::Plain, prompt)?,
    };
    form.turn = turn(&server, &model).await.map_err(unlearnt)?;
    if let (Some(_), Some(turn)) = (model.scored_labels, &form.turn) {
        end_as(&server, &mut model, turn).await.map_err(unlearnt)?;
    }
    Ok(Discovered { model, form, notes })
}

/// Sets the EOS id if only the chat template shows it: a reward model was trained on texts that end with this
/// id.
async fn end_as(server: &Server, model: &mut Model, turn: &JudgeTurn) -> Result<(), Fault> {
    if model.eos.is_empty()
        && let Some(&id) = model.encode(server, turn.end_of_answer()).await?.first()
        && is_mark(model.decode(server, &[id]).await?.trim())
    {
        model.eos = vec![id];
    }
    Ok(())
}

/// Whether the text of a token looks like a special token, such as `<|im_end|>` or `</s>`.
fn is_mark(text: &str) -> bool {
    text.len() > 2 && text.starts_with('<') && text.ends_with('>')
}

/// Converts a fault during discovery: a busy server stays busy, a missing feature is an error of the request,
/// and any other fault is an error of the server.
fn unlearnt(fault: Fault) -> Unmet {
    match fault {
        Fault::Busy { detail, .. } => return not_ready(&detail),
        Fault::Unsupported(detail) => return Unmet::Failed(PolicyError::Request(detail)),
        _ => {}
    }
    let error = PolicyError::Server(format!(
        "{fault}; give --tokenizer DIR if the server cannot tokenise, --server-dialect NAME if it \
         was taken for another"
    ));
    Unmet::Failed(error)
}

fn not_ready(said: &str) -> Unmet {
    let detail = format!("{said}; the server is there but not ready (--server-attempts)");
    Unmet::Busy(PolicyError::Server(detail))
}

fn same(first: &Model, other: &Model, server: &Server) -> Result<(), PolicyError> {
    if first.dialect == other.dialect && first.name == other.name {
        return Ok(());
    }
    Err(PolicyError::Server(format!(
        "{}: serves `{}` ({}), but another server `{}` ({}); all must serve one model",
        server.address.root,
        other.name,
        other.dialect.name(),
        first.name,
        first.dialect.name()
    )))
}

/// Finds dialect, name and context in the server's list of models.
async fn identify(server: &Server, options: &ServerOptions) -> Result<Model, Fault> {
    if let (Some(Dialect::OpenAi), Some(name)) = (options.dialect, &server.address.model) {
        // Some chat servers have no list of models; others list hundreds.
        return Ok(Model::new(Dialect::OpenAi, name.clone(), options.context.unwrap_or(0)));
    }
    let value = server.get(MODELS).await?;
    let reply = Reply::new(server.url(MODELS), &value);
    let models = reply.field("data")?.list()?;
    let names =
        models.iter().map(|m| m.field("id")?.text()).collect::<Result<Vec<&str>, Fault>>()?;
    let first = models.first().ok_or_else(|| reply.bad("at least one model"))?;
    let owner = first.optional("owned_by").and_then(|o| o.text().ok()).unwrap_or_default();
    let dialect = options.dialect.unwrap_or(match owner {
        "vllm" => Dialect::Vllm,
        "sglang" => Dialect::Sglang,
        "llamacpp" => Dialect::LlamaCpp,
        "me" => Dialect::LlamaCppPython,
        _ => Dialect::OpenAi,
    });
    let wanted = server.address.model.as_deref();
    let named = wanted.and_then(|name| models.iter().zip(&names).find(|(_, n)| **n == name));
    let (entry, name) = match (wanted, named, names.as_slice()) {
        (_, Some((entry, name)), _) => (entry, (*name).to_owned()),
        (None, _, [only]) => (first, (*only).to_owned()),
        // Such a server has loaded one model and accepts any name for it; SGLang selects adapters by name.
        (Some(name), _, _) if !matches!(dialect, Dialect::Vllm | Dialect::OpenAi) => {
            (first, name.to_owned())
        }
        _ => {
            let list = names.join(", ");
            return Err(Fault::Refused(format!(
                "{}: serves {list}; name one of them behind a #",
                server.address.root
            )));
        }
    };
    if names.contains(&name.as_str()) {
        server.serves(&name);
    }
    let told =
        entry.optional("max_model_len").or_else(|| entry.optional("meta")?.optional("n_ctx"));
    let context = told.and_then(|t| t.count().ok()).map(|t| t as usize);
    let context = context.or(options.context).unwrap_or(0);
    let mut model = Model::new(dialect, name, context);
    let adapter = wanted.filter(|name| dialect == Dialect::Sglang && !names.contains(name));
    model.adapter = adapter.map(str::to_owned);
    Ok(model)
}

/// Finds vocabulary and limits. Returns the prompt form of the folder; `None` if no folder is used.
async fn learn(
    server: &Server,
    model: &mut Model,
    options: &ServerOptions,
    notes: &mut Vec<String>,
) -> Result<Option<PromptForm>, Fault> {
    let form = read_folder(server, model, options, notes).await?;
    if model.dialect == Dialect::OpenAi {
        find_turns(model, options)?;
        model.form = Some(Form::find(model, server).await?);
    }
    model.begin = model.find_begin(server).await?;
    model.context_free = model.is_context_free(server).await?;
    // The server's chat template is used if no folder is used, or if the folder asks for chat and has no
    // template.
    let chats = form.as_ref().is_none_or(|own| own.chat && model.chat == Chat::Plain);
    match model.dialect {
        Dialect::LlamaCpp => ask_properties(server, model, chats).await?,
        Dialect::Vllm if chats && vllm::chat(model, server, &[user("a".into())]).await.is_ok() => {
            model.chat = Chat::Server;
        }
        _ => {}
    }
    if model.context == 0 {
        model.context = CONTEXT;
        notes.push(format!("the server does not tell its context; {CONTEXT} tokens are assumed"));
    }
    if options.judges {
        model.scored_labels = reward::find(model, server).await?;
    }
    if model.scored_labels.is_some() {
        return Ok(form);
    }
    let labels = model.labels(server, Ask::Options { correct_first: true }).await?;
    if labels.iter().any(|label| label.ids.is_empty()) {
        notes.push(NO_LABELS.into());
    }
    tell(model, notes);
    Ok(form)
}

/// Reads vocabulary and limits of the model from the folder, and returns the folder's prompt form; `None` if
/// there is no folder or if it does not fit the judge's server.
async fn read_folder(
    server: &Server,
    model: &mut Model,
    options: &ServerOptions,
    notes: &mut Vec<String>,
) -> Result<Option<PromptForm>, Fault> {
    let Some(folder) = options.tokenizer.as_deref() else { return Ok(None) };
    let config = optional_json(folder, "config.json")?;
    let tokenizer = Tokenizer::from_files(folder, &config)?;
    if options.judges && !speaks(server, model, &tokenizer).await? {
        let folder = folder.display();
        notes.push(format!("the vocabulary in {folder} is not the judge's: its server tokenises"));
        return Ok(None);
    }
    let own = PromptForm::read(folder, &tokenizer, &PromptOptions::default())?;
    model.told = own.told();
    if let Some(template) = tokenizer.template(own.told()).filter(|_| own.chat) {
        model.chat = Chat::Template(template);
    }
    let told = config.get("max_position_embeddings").and_then(Value::as_u64);
    model.context = if model.context == 0 { told.unwrap_or(0) as usize } else { model.context };
    model.eos = tokenizer.eos_ids().to_vec();
    model.tokenizer = Some(tokenizer);
    Ok(Some(own))
}

/// Whether a judge's server tokenises like the folder, which may belong to the searched policy instead.
/// Assumed to be true for servers that accept text only, because the two tokenisations cannot be compared.
async fn speaks(server: &Server, model: &Model, tokenizer: &Tokenizer) -> Result<bool, Fault> {
    const PROBE: &str = "The sum of 12 and 30 is 42, so x = 7.\n";
    match model.dialect {
        Dialect::OpenAi | Dialect::LlamaCppPython => Ok(true),
        _ => Ok(model.encode(server, PROBE).await? == tokenizer.encode(PROBE)?),
    }
}

/// Finds the text that separates turns in the prompts of a chat server. The server's own template is not
/// known, so the folder's template or that of `packed` is used.
fn find_turns(model: &mut Model, options: &ServerOptions) -> Result<(), Fault> {
    if model.tokenizer.is_none() {
        let text = packed::TEMPLATE.to_owned();
        model.chat = Chat::Template(ChatTemplate { text, ..ChatTemplate::default() });
    }
    let template = match &model.chat {
        Chat::Template(template) => Some(template),
        Chat::Plain | Chat::Server => None,
    };
    model.turns = template.and_then(Turns::of);
    let folder = options.tokenizer.as_deref().unwrap_or(Path::new(""));
    match model.turns {
        Some(_) => Ok(()),
        None => Err(Fault::Refused(format!(
            "{}: a chat server needs a folder with the model's chat template \
             (tokenizer_config.json or chat_template.jinja), which must write what the user says",
            folder.display()
        ))),
    }
}

/// Text around a judge's question that follows as a new user turn; `None` if the model has no such turns.
async fn turn(server: &Server, model: &Model) -> Result<Option<JudgeTurn>, Fault> {
    match &model.chat {
        Chat::Plain => Ok(None),
        Chat::Template(template) => Ok(JudgeTurn::rendered(template)),
        Chat::Server => match vllm::chat(model, server, &JudgeTurn::talk()).await {
            Ok(ids) => Ok(JudgeTurn::of(&model.decode(server, &ids).await?)),
            Err(fault) if fault.is_passing() => Err(fault),
            Err(_) => Ok(None),
        },
    }
}

/// Reads context, EOS and, if `chats`, the chat template of a llama.cpp server.
async fn ask_properties(server: &Server, model: &mut Model, chats: bool) -> Result<(), Fault> {
    let properties = llama_cpp::properties(server).await?;
    if model.context == 0 {
        model.context = properties.context.unwrap_or(0);
    }
    if model.tokenizer.is_none()
        && !properties.eos_text.is_empty()
        && let [eos] = model.encode(server, &properties.eos_text).await?.as_slice()
    {
        model.eos = vec![*eos];
    }
    if let Some(text) = properties.chat_template.filter(|_| chats) {
        let specials = [("bos_token", properties.bos_text), ("eos_token", properties.eos_text)];
        let specials = specials.map(|(name, text)| (name.to_owned(), text)).into();
        model.chat = Chat::Template(ChatTemplate { text, specials, told: model.told.clone() });
    }
    Ok(())
}

/// Adds notes on the features that this server lacks.
fn tell(model: &Model, notes: &mut Vec<String>) {
    if model.dialect == Dialect::LlamaCppPython {
        notes.push(
            "this server takes and gives text, not token ids: where a step begins and ends may \
             fall inside a token, its ids are made from text again and every row says \
             `logps_exact: false`"
                .into(),
        );
    }
    if model.dialect == Dialect::Sglang {
        notes.push(
            "SGLang draws by our seeds only with --enable-deterministic-inference; without it a \
             run cannot be repeated"
                .into(),
        );
    }
    if let Some(form) = &model.form {
        tell_of_chat(model, form, notes);
    }
    if model.eos.is_empty() && model.form.is_none() {
        notes.push(format!(
            "the server does not say which id ends a solution; --tokenizer DIR (tokenizer.json, \
             {PROMPT_FILE}) would"
        ));
    }
    if model.chat == Chat::Plain && model.told != Told::default() {
        notes.push(format!(
            "`system` and `template_kwargs` of {PROMPT_FILE} go unused: neither its folder nor the \
             server has a chat template"
        ));
    }
}

/// Adds notes on the features that a chat server lacks.
fn tell_of_chat(model: &Model, form: &Form, notes: &mut Vec<String>) {
    notes.push(
        "this chat server takes and gives text: steps are cut out of answers here, their ids are \
         made from text, and every row says `logps_exact: false`, so that training computes the \
         log-probabilities of its reference itself"
            .into(),
    );
    if model.is_packed() {
        notes.push(
            "without --tokenizer DIR ids stand for three bytes of text: budgets in tokens count \
             those, and `regrowth train` takes no pairs with them; the texts of the pairs are whole"
                .into(),
        );
    }
    if form.continuation.is_none() {
        notes.push(
            "the server begins a new answer instead of continuing one: the steps so far are shown to \
             the model in the user's turn"
                .into(),
        );
    }
    if form.top == 0 {
        notes.push(format!(
            "the server gives no log-probabilities: priors are equal, and a judgement is a share of \
             {LETTERS} sampled letters"
        ));
    }
    if !form.seed {
        notes.push("the server takes no seed, so a run cannot be repeated".into());
    }
}
