//! The state of the browser, and the effect of each key on it.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::layout::Size;

use super::catalog::Entry;
use super::draw::pane_sizes;
use super::list::{Found, List};
use super::walk::Walk;
use crate::PairConfig;
use crate::record::TreeRecord;

/// Action for the program after a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Effect {
    Nothing,
    /// Read a tree and pass it to [`App::opened`].
    Open(usize),
    /// Search all trees for a text and pass those that contain it to [`App::found`].
    Find(String),
    Quit,
}

/// The whole state of the browser.
#[derive(Debug)]
pub(crate) struct App {
    /// Source of the trees, shown in the title.
    pub(super) source: String,
    pub(super) entries: Vec<Entry>,
    pub(super) list: List,
    /// The open tree; `None` while the list is shown.
    pub(super) walk: Option<Walk>,
    /// Whether the help on keys is shown.
    pub(super) help: bool,
    /// The search text while it is being typed.
    pub(super) input: Option<String>,
    /// Error or hint from the last key.
    pub(super) message: Option<String>,
    size: Size,
}

impl App {
    /// Starts with the list of these trees.
    pub(crate) fn new(source: &str, entries: &[Entry]) -> Self {
        Self {
            source: source.to_owned(),
            list: List::new(entries),
            entries: entries.to_vec(),
            walk: None,
            help: false,
            input: None,
            message: None,
            size: Size::new(80, 24),
        }
    }

    /// Sets the size of the screen.
    pub(super) fn resize(&mut self, size: Size) {
        self.size = size;
        if let Some(walk) = &mut self.walk {
            walk.read_on(0, pane_sizes(size).text);
        }
    }

    /// Shows a tree that was requested by [`Effect::Open`].
    pub(super) fn opened(&mut self, record: TreeRecord, rules: &PairConfig) {
        let mut walk = Walk::new(record, rules);
        if let Some(found) = &self.list.found {
            walk.search(&found.needle);
        }
        self.walk = Some(walk);
    }

    /// Shows the trees that contain a text.
    pub(super) fn found(&mut self, needle: String, trees: Vec<usize>) {
        if trees.is_empty() {
            self.message = Some(format!("no tree contains \"{needle}\""));
            return;
        }
        self.list.set_found(Some(Found { needle, trees }), &self.entries);
    }

    /// Handles a key. Returns the action for the program.
    pub(super) fn key(&mut self, key: KeyEvent) -> Effect {
        self.message = None;
        if key.modifiers.contains(KeyModifiers::CONTROL) && key.code == KeyCode::Char('c') {
            return Effect::Quit;
        }
        if std::mem::take(&mut self.help) {
            return Effect::Nothing;
        }
        if self.input.is_some() {
            return self.typed(key.code);
        }
        match key.code {
            KeyCode::Char('?') => self.help = true,
            KeyCode::Char('/') => self.input = Some(String::new()),
            code => match self.walk {
                Some(_) => return self.tree_key(code),
                None => return self.list_key(code),
            },
        }
        Effect::Nothing
    }

    /// Handles a key while a search text is being typed.
    fn typed(&mut self, code: KeyCode) -> Effect {
        let Some(input) = &mut self.input else { return Effect::Nothing };
        match code {
            KeyCode::Char(c) if !c.is_control() => input.push(c),
            KeyCode::Backspace => drop(input.pop()),
            KeyCode::Esc => self.input = None,
            KeyCode::Enter => {
                let needle = self.input.take().unwrap_or_default().to_lowercase();
                return self.search(needle);
            }
            _ => {}
        }
        Effect::Nothing
    }

    fn search(&mut self, needle: String) -> Effect {
        let Some(walk) = &mut self.walk else {
            if needle.is_empty() {
                self.list.set_found(None, &self.entries);
                return Effect::Nothing;
            }
            return Effect::Find(needle);
        };
        if needle.is_empty() {
            (walk.needle, walk.hits) = (None, Vec::new());
            return Effect::Nothing;
        }
        walk.search(&needle);
        if walk.hits.is_empty() {
            self.message = Some(format!("no step of this tree contains \"{needle}\""));
        }
        Effect::Nothing
    }

    fn list_key(&mut self, code: KeyCode) -> Effect {
        if let Some(by) = self.movement(code) {
            self.list.step(by);
            return Effect::Nothing;
        }
        match code {
            KeyCode::Enter | KeyCode::Right | KeyCode::Char('l') => return self.open(),
            KeyCode::Char('f') => self.list.next_filter(&self.entries),
            KeyCode::Esc if self.list.found.is_some() => self.list.set_found(None, &self.entries),
            KeyCode::Esc | KeyCode::Char('q') => return Effect::Quit,
            _ => {}
        }
        Effect::Nothing
    }

    fn open(&self) -> Effect {
        self.list.chosen().map_or(Effect::Nothing, Effect::Open)
    }

    fn tree_key(&mut self, code: KeyCode) -> Effect {
        let movement = self.movement(code);
        let Some(walk) = &mut self.walk else { return Effect::Nothing };
        match (code, movement) {
            (_, Some(by)) if walk.reads => walk.read_on(by, pane_sizes(self.size).text),
            (_, Some(by)) => walk.step(by),
            (KeyCode::Tab, _) => walk.reads ^= true,
            (KeyCode::Right | KeyCode::Char('l'), _) => walk.unfold(),
            (KeyCode::Left | KeyCode::Char('h'), _) => walk.fold(),
            (KeyCode::Enter | KeyCode::Char(' '), _) => walk.toggle(),
            (KeyCode::Char('*'), _) => walk.unfold_below(),
            (KeyCode::Char('e'), _) => walk.unfold_all(),
            (KeyCode::Char('f'), _) => walk.fold_all(),
            (KeyCode::Char('m'), _) => walk.next_hit(),
            (KeyCode::Char('M'), _) => walk.previous_hit(),
            (KeyCode::Char('n'), _) if self.list.step(1) => return self.open(),
            (KeyCode::Char('p'), _) if self.list.step(-1) => return self.open(),
            (KeyCode::Char('n' | 'p'), _) => self.message = Some("no more trees".to_owned()),
            (KeyCode::Esc | KeyCode::Char('q'), _) => self.walk = None,
            _ => {}
        }
        Effect::Nothing
    }

    /// Number of rows by which a key moves; `None` for other keys.
    fn movement(&self, code: KeyCode) -> Option<isize> {
        let sizes = pane_sizes(self.size);
        let page = match &self.walk {
            None => sizes.list,
            Some(walk) if walk.reads => sizes.text[1],
            Some(_) => sizes.tree,
        };
        let page = page.saturating_sub(1).max(1) as isize;
        Some(match code {
            KeyCode::Down | KeyCode::Char('j') => 1,
            KeyCode::Up | KeyCode::Char('k') => -1,
            KeyCode::PageDown => page,
            KeyCode::PageUp => -page,
            KeyCode::Home | KeyCode::Char('g') => isize::MIN,
            KeyCode::End | KeyCode::Char('G') => isize::MAX,
            _ => return None,
        })
    }
}
