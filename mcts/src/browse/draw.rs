//! Draws the state on the screen. Formats only the visible rows.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect, Size};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Paragraph};

use super::app::App;
use super::catalog::Entry;
use super::details::{self, Line as Detail};
use super::keys::{KEYS, LEGEND};
use super::rows::{self, Marks};
use super::search::places;
use super::text::one_line;
use super::walk::Walk;

/// Screen width from which the text is beside the tree and not below it (our choice: room for two columns of
/// prose).
const WIDE: u16 = 140;

/// Rows and columns of the panes, excluding frames.
#[derive(Debug)]
pub(super) struct PaneSizes {
    /// Rows of the list.
    pub(super) list: usize,
    /// Rows of the tree.
    pub(super) tree: usize,
    /// Columns and rows of the text.
    pub(super) text: [usize; 2],
}

/// The sizes of the panes on a screen of this size.
pub(super) fn pane_sizes(size: Size) -> PaneSizes {
    let [body, _] = areas(Rect::from((ratatui::layout::Position::ORIGIN, size)));
    let [tree, text] = halves(body);
    let inside = |area: Rect| Block::bordered().inner(area);
    PaneSizes {
        list: usize::from(inside(body).height.saturating_sub(1)),
        tree: usize::from(inside(tree).height.saturating_sub(1)),
        text: [inside(text).width, inside(text).height].map(usize::from),
    }
}

/// Splits the screen into its body and its last line.
fn areas(screen: Rect) -> [Rect; 2] {
    Layout::vertical([Constraint::Min(0), Constraint::Length(1)]).areas(screen)
}

/// Splits the body into tree and text.
fn halves(body: Rect) -> [Rect; 2] {
    let parts = [Constraint::Percentage(60), Constraint::Percentage(40)];
    if body.width >= WIDE {
        Layout::horizontal(parts).areas(body)
    } else {
        Layout::vertical(parts).areas(body)
    }
}

/// Draws the state.
pub(super) fn draw(app: &App, frame: &mut Frame) {
    let [body, foot] = areas(frame.area());
    match &app.walk {
        Some(walk) => {
            let [tree, text] = halves(body);
            draw_tree(app, walk, frame, tree);
            draw_text(walk, frame, text);
        }
        None => draw_list(app, frame, body),
    }
    frame.render_widget(Paragraph::new(foot_line(app)), foot);
    if app.help {
        draw_help(frame, body);
    }
}

fn foot_line(app: &App) -> Line<'static> {
    if let Some(input) = &app.input {
        return Line::from(format!(
            "search: {}\u{2588}  (Enter searches, Esc does not)",
            one_line(input, 200)
        ));
    }
    if let Some(message) = &app.message {
        return Line::styled(one_line(message, 500), Style::new().fg(Color::Yellow));
    }
    let hints = match &app.walk {
        Some(_) => {
            "? keys   arrows move and fold   Tab text   / search   n p next, previous tree   q back"
        }
        None => "? keys   Enter open   f filter   / search   q quit",
    };
    Line::styled(hints, Style::new().add_modifier(Modifier::DIM))
}

/// Range of the rows around the selected one that fit into `height` rows.
fn window(len: usize, chosen: usize, height: usize) -> std::ops::Range<usize> {
    let first = chosen.saturating_sub(height / 2).min(len.saturating_sub(height));
    first..len.min(first + height)
}

/// Draws a frame with a title and column headings. Returns the area for rows.
fn framed(frame: &mut Frame, area: Rect, title: String, head: &str) -> Rect {
    let block = Block::bordered().title(title);
    let inside = block.inner(area);
    frame.render_widget(block, area);
    let [top, rows] = Layout::vertical([Constraint::Length(1), Constraint::Min(0)]).areas(inside);
    let head = Line::styled(head.to_owned(), Style::new().add_modifier(Modifier::BOLD));
    frame.render_widget(Paragraph::new(head), top);
    rows
}

fn draw_list(app: &App, frame: &mut Frame, area: Rect) {
    let list = &app.list;
    let found = list.found.as_ref();
    let found = found.map(|f| format!(", containing \"{}\"", one_line(&f.needle, 40)));
    let title = format!(
        " {}: {} of {} trees, {}{} ",
        one_line(&app.source, 60),
        list.shown.len(),
        app.entries.len(),
        list.filter.in_words(),
        found.unwrap_or_default()
    );
    let area = framed(frame, area, title, rows::LIST_HEAD);
    let window = window(list.shown.len(), list.chosen, usize::from(area.height));
    let lines: Vec<Line> = window
        .map(|at| {
            let entry = &app.entries[list.shown[at]];
            styled(rows::entry(entry), entry_style(entry), at == list.chosen, None)
        })
        .collect();
    frame.render_widget(Paragraph::new(lines), area);
}

fn entry_style(entry: &Entry) -> Style {
    match entry.correct {
        Some(true) => Style::new().fg(Color::Green),
        Some(false) => Style::new().fg(Color::Red),
        None => Style::new(),
    }
}

/// A line with the search text highlighted; the selected line is reversed.
fn styled(text: String, style: Style, is_chosen: bool, needle: Option<&str>) -> Line<'static> {
    let style = if is_chosen { style.add_modifier(Modifier::REVERSED) } else { style };
    let mut spans = Vec::new();
    let mut done = 0;
    for place in needle.map(|needle| places(&text, needle)).unwrap_or_default() {
        spans.push(Span::raw(text[done..place.start].to_owned()));
        let mark = Style::new().fg(Color::Black).bg(Color::Yellow);
        spans.push(Span::styled(text[place.clone()].to_owned(), mark));
        done = place.end;
    }
    spans.push(Span::raw(text[done..].to_owned()));
    Line::from(spans).style(style)
}

fn draw_tree(app: &App, walk: &Walk, frame: &mut Frame, area: Rect) {
    let hits = walk.needle.as_ref().map(|needle| {
        let at = walk.hit().map_or(String::new(), |at| format!("{at} of "));
        format!(", \"{}\": {at}{} matches", one_line(needle, 40), walk.hits.len())
    });
    let title = format!(
        " {} (tree {} of {}, round {}){} ",
        one_line(&walk.view.id, 60),
        app.list.chosen + 1,
        app.list.shown.len(),
        walk.record.round,
        hits.unwrap_or_default()
    );
    let area = framed(frame, area, title, rows::TREE_HEAD);
    let marks = Marks::of(walk);
    let window = window(walk.rows.len(), walk.chosen, usize::from(area.height));
    let lines: Vec<Line> = window
        .map(|at| {
            let id = walk.rows[at];
            let text = rows::node(walk, &marks, id);
            styled(text, node_style(walk, id), at == walk.chosen, walk.needle.as_deref())
        })
        .collect();
    frame.render_widget(Paragraph::new(lines), area);
}

fn node_style(walk: &Walk, id: u32) -> Style {
    match walk.view.nodes[id as usize].end.as_ref().map(|end| end.verdict) {
        Some("right") => Style::new().fg(Color::Green),
        Some("wrong") => Style::new().fg(Color::Red),
        Some("undecided") => Style::new().fg(Color::Yellow),
        _ => Style::new(),
    }
}

fn draw_text(walk: &Walk, frame: &mut Frame, area: Rect) {
    let title = if walk.reads { " scrolling (Tab: back to the tree) " } else { "" };
    let block = Block::bordered().title(title);
    let inside = block.inner(area);
    frame.render_widget(block, area);
    let lines = details::lines(walk, usize::from(inside.width));
    let lines = lines.into_iter().skip(walk.scroll).take(usize::from(inside.height));
    let lines: Vec<Line> = lines.map(|line| detail(line, walk.needle.as_deref())).collect();
    frame.render_widget(Paragraph::new(lines), inside);
}

fn detail(line: Detail, needle: Option<&str>) -> Line<'static> {
    match line {
        Detail::Heading(text) => Line::styled(text, Style::new().add_modifier(Modifier::BOLD)),
        Detail::Fact(text) => Line::from(text),
        Detail::Text(text) => styled(text, Style::new(), false, needle),
    }
}

fn draw_help(frame: &mut Frame, area: Rect) {
    let row = |(keys, what): &(&str, &str)| Line::from(format!(" {keys:<20} {what}"));
    let mut lines: Vec<Line> = KEYS.iter().map(row).collect();
    lines.push(Line::from(""));
    lines.extend(LEGEND.iter().map(row));
    let height = (lines.len() as u16 + 2).min(area.height);
    let area = Rect { height, width: area.width.min(100), ..area };
    frame.render_widget(Clear, area);
    frame.render_widget(
        Paragraph::new(lines).block(Block::bordered().title(" Keys (any key closes) ")),
        area,
    );
}
