//! Tests of the browser without a terminal: keys are the input, screen text is the output.

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::layout::Size;

use super::app::{App, Effect};
use super::catalog::Catalog;
use super::draw::draw;
use super::terminal::apply;
use crate::PairConfig;
use crate::pairs::tests::{example, tree};
use crate::record::TreeRecord;

/// A browser session with some trees.
struct Session {
    app: App,
    catalog: Catalog,
    size: Size,
    goes_on: bool,
    folder: tempfile::TempDir,
}

impl Session {
    fn of(trees: &[TreeRecord]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("trees.jsonl");
        let rows: Vec<String> = trees.iter().map(|t| serde_json::to_string(t).unwrap()).collect();
        // An empty line is not a tree and does not shift the line numbers of others.
        std::fs::write(&path, rows.join("\n\n") + "\n").unwrap();
        let catalog = Catalog::read(&[path], &PairConfig::default(), None).unwrap();
        let app = App::new("run", catalog.entries());
        Self { app, catalog, size: Size::new(100, 30), goes_on: true, folder }
    }

    /// Presses a key.
    fn key(&mut self, code: KeyCode, modifiers: KeyModifiers) {
        self.app.resize(self.size);
        let effect = self.app.key(KeyEvent::new(code, modifiers));
        self.goes_on = apply(effect, &self.catalog, &mut self.app);
    }

    /// Presses keys, named ones between `<` and `>`. Returns the screen.
    fn press(&mut self, keys: &str) -> String {
        let mut rest = keys;
        while let Some(first) = rest.chars().next() {
            let (code, used) = match rest.strip_prefix('<').and_then(|named| named.split_once('>'))
            {
                Some((name, _)) => (named(name), name.len() + 2),
                None => (KeyCode::Char(first), first.len_utf8()),
            };
            self.key(code, KeyModifiers::NONE);
            rest = &rest[used..];
        }
        self.screen()
    }

    fn screen(&mut self) -> String {
        let backend = TestBackend::new(self.size.width, self.size.height);
        let mut terminal = Terminal::new(backend).unwrap();
        self.app.resize(self.size);
        terminal.draw(|frame| draw(&self.app, frame)).unwrap();
        let buffer = terminal.backend().buffer();
        let cells: Vec<&str> = buffer.content().iter().map(|cell| cell.symbol()).collect();
        let lines = cells.chunks(usize::from(self.size.width)).map(|row| row.concat());
        lines.map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
    }
}

fn named(name: &str) -> KeyCode {
    match name {
        "Enter" => KeyCode::Enter,
        "Esc" => KeyCode::Esc,
        "Tab" => KeyCode::Tab,
        "Down" => KeyCode::Down,
        "Left" => KeyCode::Left,
        "Right" => KeyCode::Right,
        "End" => KeyCode::End,
        "PgDn" => KeyCode::PageDown,
        "Back" => KeyCode::Backspace,
        _ => panic!("no key {name}"),
    }
}

/// Three trees: one of the problem `first` with right and wrong solutions, one of `second` with only wrong
/// ones, and one of `third` without finished solutions.
fn three() -> Vec<TreeRecord> {
    let named = |mut tree: TreeRecord, id: &str, answers: [&str; 2]| {
        (tree.problem.id, tree.problem.answer) = (id.to_owned(), "7".to_owned());
        tree.problem.question = format!("What is asked in {id}?");
        for (node, answer) in [4, 6].into_iter().zip(answers) {
            tree.nodes[node].text = format!("so \\boxed{{{answer}}}.");
        }
        tree
    };
    let mut endless = example();
    endless.problem.id = "third".to_owned();
    endless.nodes.iter_mut().for_each(|node| node.terminal = false);
    vec![named(example(), "first", ["7", "8"]), named(example(), "second", ["5", "8"]), endless]
}

#[test]
fn the_list_says_what_became_of_each_problem_and_filters() {
    let mut session = Session::of(&three());
    let screen = session.screen();
    assert!(screen.contains("run: 3 of 3 trees, all trees"), "{screen}");
    let row = |screen: &str, id: &str| screen.lines().find(|l| l.contains(id)).map(str::to_owned);
    let first: Vec<_> =
        row(&screen, "first").unwrap().split_whitespace().map(str::to_owned).collect();
    // Columns: round, committed answer, mean outcome, right, wrong, pairs, nodes, id.
    assert_eq!(first[1..9], ["2", "wrong", "+1.00", "1", "1", "2", "7", "first"]);
    assert!(row(&screen, "third").unwrap().contains("  -  "), "{screen}");
    let mixed = session.press("f");
    assert!(
        mixed.contains("1 of 3 trees, with right and wrong") && row(&mixed, "second").is_none()
    );
    let wrong = session.press("f");
    assert!(row(&wrong, "second").is_some() && row(&wrong, "first").is_none(), "{wrong}");
    let pairs = session.press("f");
    assert!(pairs.contains("with pairs, most first"), "{pairs}");
    assert!(session.press("f").contains("3 of 3"));
}

#[test]
fn a_tree_is_walked_folded_and_read() {
    let mut session = Session::of(&three());
    let tree = session.press("<Enter>");
    assert!(tree.contains(" first (tree 1 of 3, round 2) ") && tree.contains("Question"), "{tree}");
    // The committed path is unfolded: a, b with d and e, e's child f, and c.
    let steps = |screen: &str| screen.lines().filter(|line| line.contains("0.500  0.50")).count();
    assert_eq!(steps(&tree), 6, "{tree}");
    assert!(tree.contains("[right] so \\boxed{7}."), "{tree}");
    // b is selected; folding it hides three steps.
    let folded = session.press("jj<Left>");
    assert_eq!(steps(&folded), 3, "{folded}");
    assert!(folded.contains("Step 2 at depth 1, committed"), "{folded}");
    assert!(folded.contains("pair: chosen over step 3, margin 0.800"), "{folded}");
    assert!(folded.contains("*+  +0.90"), "{folded}");
    assert_eq!(steps(&session.press("<Right>")), 6);
    let child = session.press("<Right>");
    assert!(child.contains("Step 4 at depth 2"), "{child}");
    assert!(child.contains("solution ends: right, outcome +1, answer 7"), "{child}");
    // Left moves to the parent; `f` leaves the committed path unfolded.
    assert!(session.press("<Left>").contains("Step 2 at depth 1"));
    assert_eq!(steps(&session.press("<Left>e")), 6);
    let next = session.press("n");
    assert!(next.contains(" second (tree 2 of 3") && next.contains("[wrong]"), "{next}");
    assert!(session.press("nn").contains("no more trees"));
    assert!(session.press("<Esc>").contains("3 of 3 trees"));
    assert!(session.goes_on);
    session.press("q");
    assert!(!session.goes_on);
}

#[test]
fn search_finds_trees_and_folded_steps() {
    let mut session = Session::of(&three());
    let found = session.press("/BOXED{5<Enter>");
    assert!(found.contains("1 of 3 trees, all trees, containing \"boxed{5\""), "{found}");
    // The tree opens at the step that contains the text.
    let open = session.press("<Enter>");
    assert!(open.contains("Step 4 at depth 2") && open.contains("1 of 1 matches"), "{open}");
    // Search for another text, in a step that is folded away; matches wrap around.
    let two = session.press("g<Left>/boxed<Enter>");
    assert!(two.contains("1 of 2 matches") && two.contains("Step 4 at depth 2"), "{two}");
    assert!(session.press("m").contains("Step 6 at depth 3"));
    assert!(session.press("m").contains("Step 4 at depth 2"));
    assert!(session.press("M").contains("Step 6 at depth 3"));
    assert!(session.press("/nowhere<Enter>").contains("no step of this tree contains"));
    assert!(session.press("q/nowhere<Enter>").contains("no tree contains \"nowhere\""));
    assert!(session.press("<Esc>").contains("3 of 3 trees"));
    // A cancelled search changes nothing, and its letters are not commands.
    assert!(session.press("/qf<Back><Esc>").contains("3 of 3 trees, all trees"));
}

#[test]
fn help_explains_the_keys_and_any_key_closes_it() {
    let mut session = Session::of(&three());
    let help = session.press("?");
    assert!(help.contains("Keys (any key closes)") && help.contains("next and previous match"));
    let closed = session.press("q");
    assert!(!closed.contains("any key closes") && session.goes_on);
    session.key(KeyCode::Char('c'), KeyModifiers::CONTROL);
    assert!(!session.goes_on);
}

#[test]
fn foreign_text_cannot_act_on_the_terminal() {
    let evil = "\u{1b}[2J\u{1b}]0;owned\u{7}\u{9b}31m\u{202e}\r\0";
    let mut trees = three();
    (trees[0].problem.id, trees[0].problem.question) = (evil.to_owned(), evil.to_owned());
    (trees[0].problem.answer, trees[0].policy) = (evil.to_owned(), evil.to_owned());
    trees[0].nodes.iter_mut().for_each(|node| node.text = format!("x\t{evil} {evil}"));
    let mut session = Session::of(&trees);
    session.app.source = evil.to_owned();
    let screens = [
        session.screen(),
        session.press("<Enter>"),
        session.press("j"),
        session.press("/owned<Enter>"),
        session.press("q/\u{1b}none<Enter>"),
    ];
    for screen in screens {
        let acts = |c: char| c != '\n' && (c.is_control() || c == '\u{202e}');
        assert!(!screen.contains(acts), "{screen:?}");
        assert!(screen.contains('\u{fffd}') || screen.contains("no tree"), "{screen}");
    }
}

#[test]
fn long_text_wraps_and_scrolls_to_its_end() {
    let mut trees = three();
    let words: Vec<String> = (0..3000).map(|n| format!("word{n}")).collect();
    trees[0].nodes[1].text = words.join(" ");
    let mut session = Session::of(&trees);
    let start = session.press("<Enter>j");
    assert!(start.contains("word0 word1") && !start.contains("word2999"), "{start}");
    let end = session.press("<Tab><End>");
    assert!(end.contains("word2999") && end.contains("scrolling"), "{end}");
    // Scrolling beyond the end stays at the end, and one key up moves at once.
    session.press("jjj");
    assert!(!session.press("kkk").contains("word2999"));
    // Another step is shown from its start.
    assert!(session.press("<Tab>j").contains("Step 2 at depth 1"));
}

#[test]
fn ten_thousand_steps_are_walked_in_little_time() {
    // A tree in which every step has three children, fully unfolded: making rows for all nodes at every key
    // would be slow.
    let plan: Vec<_> = (0..10_000).map(|at| (at / 3, 0.5, 1, "step")).collect();
    let mut session = Session::of(&[tree(&plan, &[])]);
    session.press("<Enter>e");
    let started = std::time::Instant::now();
    let screen = session.press("<End>kkkkkkkkkkkkkkkkkk");
    assert!(screen.contains("Step "), "{screen}");
    // Twenty keys with one screen each take far less than a second, even in a debug build on a slow machine.
    assert!(started.elapsed().as_secs_f64() < 5.0, "{:?}", started.elapsed());
}

#[test]
fn a_file_that_changed_is_told_and_a_tiny_screen_is_no_fault() {
    let mut session = Session::of(&three());
    for size in [[1, 1], [3, 2], [20, 5], [200, 60]] {
        session.size = Size::new(size[0], size[1]);
        session.press("<Enter>j<Tab><PgDn><Tab>?<Esc>q");
    }
    session.size = Size::new(100, 30);
    std::fs::write(session.folder.path().join("trees.jsonl"), "gone").unwrap();
    let told = session.press("<Enter>");
    assert!(told.contains("trees.jsonl") && session.goes_on, "{told}");
    assert_eq!(session.app.key(KeyEvent::from(KeyCode::Char('z'))), Effect::Nothing);
}
